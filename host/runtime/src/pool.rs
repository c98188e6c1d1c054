//! The threads that guest calls run on, and the order of calls.
//!
//! A guest occupies a thread while it computes, so guests never run on async workers. Calls wait in one lane per guest, lanes take
//! turns, and a lane may use all threads but one. A guest that spins can fill its own lane, but another guest's call always finds
//! the last thread. The second check of a release's reports runs in the release's lane ([`crate::Verifier::beside`]): its author
//! wrote the schema, and a schema can spin too.

use std::{
    collections::{HashMap, VecDeque},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use assay_core::digest::Digest;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

/// For Rust code of the host and of wasmtime beside the guest's stack: instantiation, lifting, the limiter.
const HOST_STACK_BYTES: usize = 2 << 20;

type Work = Box<dyn FnOnce(Duration) + Send>;

/// The pool. Dropping it ends the threads after their present calls.
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    lanes: Mutex<Lanes>,
    work: Condvar,
    threads_per_lane: usize,
}

#[derive(Default)]
struct Lanes {
    by_guest: HashMap<Digest, Lane>,
    /// Guests with waiting calls, in turn.
    turns: VecDeque<Digest>,
    stopped: bool,
}

/// A call that a thread runs next.
struct NextCall {
    guest: Digest,
    work: Work,
    since: Instant,
}

#[derive(Default)]
struct Lane {
    waiting: VecDeque<Arc<QueuedCall>>,
    running: usize,
}

/// A call in a lane. Empty once its caller is gone or a thread took the work.
struct QueuedCall {
    since: Instant,
    work: Mutex<Option<Work>>,
}

/// Drops the queued work when its caller goes away.
struct CancelOnDrop(Arc<QueuedCall>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        // In two steps: the work must not be dropped under the lock.
        let work = self.0.work.lock().take();
        drop(work);
    }
}

impl Pool {
    /// Starts `threads` threads (at least 2, so that there is a last one to keep free).
    ///
    /// # Errors
    /// A thread does not start.
    pub(crate) fn start(threads: usize, wasm_stack_bytes: usize) -> io::Result<Self> {
        let threads = threads.max(2);
        let shared = Arc::new(Shared { lanes: Mutex::default(), work: Condvar::new(), threads_per_lane: threads - 1 });
        // Made before the threads: if one does not start, dropping the pool ends the others.
        let pool = Self { shared };
        for number in 0..threads {
            let shared = Arc::clone(&pool.shared);
            std::thread::Builder::new()
                .name(format!("assay-guest-{number}"))
                .stack_size(wasm_stack_bytes + HOST_STACK_BYTES)
                .spawn(move || shared.serve())?;
        }
        Ok(pool)
    }

    /// Runs `work` in the lane of `guest` and passes it the time that it waited. Returns `None` if the pool stopped or the work
    /// panicked.
    ///
    /// Dropping the future removes a waiting call. A running call goes on to its end, and its result is dropped.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        guest: Digest,
        work: impl FnOnce(Duration) -> T + Send + 'static,
    ) -> Option<T> {
        let (give, take) = oneshot::channel();
        let work: Work = Box::new(move |waited| drop(give.send(work(waited))));
        let place = Arc::new(QueuedCall { since: Instant::now(), work: Mutex::new(Some(work)) });
        let _waiting = CancelOnDrop(Arc::clone(&place));
        self.shared.push(guest, place);
        take.await.ok()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut lanes = self.shared.lanes.lock();
        lanes.stopped = true;
        // Dropping waiting work closes the channels of its callers.
        let waiting = std::mem::take(&mut lanes.by_guest);
        lanes.turns.clear();
        drop(lanes);
        drop(waiting);
        self.shared.work.notify_all();
    }
}

impl Shared {
    fn push(&self, guest: Digest, place: Arc<QueuedCall>) {
        let mut lanes = self.lanes.lock();
        let lane = lanes.by_guest.entry(guest).or_default();
        lane.waiting.push_back(place);
        if lane.waiting.len() == 1 {
            lanes.turns.push_back(guest);
        }
        drop(lanes);
        self.work.notify_one();
    }

    fn serve(&self) {
        let mut lanes = self.lanes.lock();
        loop {
            if lanes.stopped {
                return;
            }
            let Some(NextCall { guest, work, since }) = lanes.next(self.threads_per_lane) else {
                self.work.wait(&mut lanes);
                continue;
            };
            if lanes.has_next(self.threads_per_lane) {
                self.work.notify_one();
            }
            drop(lanes);
            // A panic closes the caller's channel, and must not end this thread.
            let _ = catch_unwind(AssertUnwindSafe(|| work(since.elapsed())));
            lanes = self.lanes.lock();
            lanes.end(guest);
        }
    }
}

impl Lanes {
    /// Takes the next call of a lane with room: in order within a lane, lanes in turn.
    fn next(&mut self, threads_per_lane: usize) -> Option<NextCall> {
        for _ in 0..self.turns.len() {
            let guest = self.turns.pop_front()?;
            let Some(lane) = self.by_guest.get_mut(&guest) else { continue };
            if lane.running >= threads_per_lane {
                self.turns.push_back(guest);
                continue;
            }
            let taken = lane.take();
            if taken.is_some() {
                lane.running += 1;
            }
            if !lane.waiting.is_empty() {
                self.turns.push_back(guest);
            } else if lane.running == 0 {
                self.by_guest.remove(&guest);
            }
            if let Some((work, since)) = taken {
                return Some(NextCall { guest, work, since });
            }
        }
        None
    }

    fn has_next(&self, threads_per_lane: usize) -> bool {
        let has_room = |guest| self.by_guest.get(guest).is_some_and(|lane| lane.running < threads_per_lane);
        self.turns.iter().any(has_room)
    }

    fn end(&mut self, guest: Digest) {
        // Missing only if the pool stopped meanwhile.
        let Some(lane) = self.by_guest.get_mut(&guest) else { return };
        lane.running -= 1;
        if lane.running == 0 && lane.waiting.is_empty() {
            self.by_guest.remove(&guest);
        }
    }
}

impl Lane {
    /// Takes the first call whose caller still waits.
    fn take(&mut self) -> Option<(Work, Instant)> {
        while let Some(place) = self.waiting.pop_front() {
            if let Some(work) = place.work.lock().take() {
                return Some((work, place.since));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const STACK_BYTES: usize = 64 << 10;

    fn lane(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    /// Returns work that reports its start, and ends when the sender is dropped.
    fn blocked_work() -> (impl FnOnce(Duration) + Send, mpsc::Receiver<()>, mpsc::Sender<()>) {
        let (started, start) = mpsc::channel();
        let (end, ended) = mpsc::channel::<()>();
        let work = move |_| {
            started.send(()).unwrap();
            let _ = ended.recv();
        };
        (work, start, end)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn one_guest_leaves_a_thread_to_the_others() {
        let pool = Pool::start(3, STACK_BYTES).unwrap();
        let mut greedy = Vec::new();
        for _ in 0..5 {
            let (work, start, end) = blocked_work();
            let mut call = Box::pin(pool.run(lane("greedy"), work));
            assert!(futures_poll(&mut call).is_pending());
            greedy.push((call, start, end));
        }
        for (_, start, _) in &greedy[..2] {
            start.recv().unwrap();
        }
        assert_eq!(pool.run(lane("modest"), |_| 7).await, Some(7));
        assert_eq!(
            greedy[2].1.try_recv(),
            Err(mpsc::TryRecvError::Empty),
            "the third one waits, though a thread is free"
        );
        for (call, _, end) in greedy {
            drop(end);
            assert_eq!(call.await, Some(()));
        }
        // A thread sends its result before it looks for more work.
        let deadline = Instant::now() + Duration::from_secs(10);
        while !pool.shared.lanes.lock().by_guest.is_empty() {
            assert!(Instant::now() < deadline, "an idle pool has no lanes");
            std::thread::yield_now();
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn guests_take_turns() {
        let pool = Arc::new(Pool::start(2, STACK_BYTES).unwrap());
        // Both threads busy, so that what follows waits.
        let (first, first_start, first_end) = blocked_work();
        let (second, second_start, second_end) = blocked_work();
        let busy = [("x", first), ("y", second)].map(|(name, work)| {
            let pool = Arc::clone(&pool);
            tokio::spawn(async move { pool.run(lane(name), work).await })
        });
        first_start.recv().unwrap();
        second_start.recv().unwrap();

        let (order, ordered) = mpsc::channel();
        let mut waiting = Vec::new();
        for name in ["a", "a", "a", "b"] {
            let order = order.clone();
            let mut call = Box::pin(pool.run(lane(name), move |_| order.send(name).unwrap()));
            assert!(futures_poll(&mut call).is_pending());
            waiting.push(call);
        }
        drop(first_end);
        for call in waiting {
            call.await.unwrap();
        }
        assert_eq!(ordered.try_iter().collect::<Vec<_>>(), ["a", "b", "a", "a"]);
        drop(second_end);
        for task in busy {
            task.await.unwrap().unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_caller_that_goes_away_frees_its_place_and_what_it_held() {
        let pool = Pool::start(2, STACK_BYTES).unwrap();
        let (work, start, end) = blocked_work();
        let mut running = Box::pin(pool.run(lane("a"), work));
        assert!(futures_poll(&mut running).is_pending());
        start.recv().unwrap();

        let (ran, runs) = mpsc::channel();
        let mut waiting = Box::pin(pool.run(lane("a"), move |_| ran.send(()).unwrap()));
        assert!(futures_poll(&mut waiting).is_pending());
        drop(waiting);
        assert_eq!(runs.try_recv(), Err(mpsc::TryRecvError::Disconnected), "dropped at once, not when its turn comes");

        drop(end);
        running.await.unwrap();
        assert_eq!(pool.run(lane("a"), |_| 1).await, Some(1));
        assert_eq!(runs.try_recv(), Err(mpsc::TryRecvError::Disconnected));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn work_that_panics_costs_no_thread() {
        let pool = Pool::start(2, STACK_BYTES).unwrap();
        for _ in 0..4 {
            assert_eq!(pool.run(lane("a"), |_| panic!("on purpose")).await, None::<()>);
        }
        assert_eq!(pool.run(lane("a"), |_| 1).await, Some(1));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_pool_that_stops_drops_waiting_work() {
        let pool = Pool::start(2, STACK_BYTES).unwrap();
        let shared = Arc::clone(&pool.shared);
        let (work, start, end) = blocked_work();
        shared.push(lane("a"), Arc::new(QueuedCall { since: Instant::now(), work: Mutex::new(Some(Box::new(work))) }));
        start.recv().unwrap();
        let (kept, dropped) = mpsc::channel::<()>();
        let work: Work = Box::new(move |_| drop(kept));
        shared.push(lane("a"), Arc::new(QueuedCall { since: Instant::now(), work: Mutex::new(Some(work)) }));
        drop(pool);
        assert_eq!(dropped.recv(), Err(mpsc::RecvError));
        drop(end);
    }

    fn futures_poll<F: Future + Unpin>(future: &mut F) -> std::task::Poll<F::Output> {
        std::pin::Pin::new(future).poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
    }
}

//! A process at its limit of open files: each client says so, and blames nothing that it calls.
//!
//! A binary of its own, with one test: the limit holds for the whole process.

use std::{fs::File, os::fd::AsRawFd};

use assay_core::{code::Code, env::Variables, job_error::JobError};
use assay_db::{Database, DatabaseConfig};
use assay_llm::{ChatMessage, ChatRequest, LlmConfig, Model};
use assay_objects::{Objects, ObjectsConfig};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

struct Clients {
    model: Model,
    objects: Objects,
    database: Database,
}

impl Clients {
    /// Nothing listens on port 1, so with files to spare every connection is refused.
    fn to(host: &str) -> Self {
        let values = [
            ("LLM_BASE_URL", format!("http://{host}:1/v1")),
            ("LLM_MODEL", "m".to_owned()),
            ("S3_ENDPOINT", format!("http://{host}:1")),
            ("S3_BUCKET", "b".to_owned()),
            ("S3_ACCESS_KEY_ID", "k".to_owned()),
            ("S3_SECRET_ACCESS_KEY", "s".to_owned()),
            ("DATABASE_URL", format!("postgres://u:p@{host}:1/d")),
            ("DATABASE_TIMEOUT_MS", "500".to_owned()),
        ];
        let mut vars = Variables::from_map(values.map(|(name, value)| (name.to_owned(), value)).into());
        let (llm, objects) = (LlmConfig::load(&mut vars), ObjectsConfig::load(&mut vars));
        let database = DatabaseConfig::load(&mut vars);
        vars.finish().expect("a configuration without faults");
        Self {
            model: Model::new(llm).expect("a client"),
            objects: Objects::new(&objects),
            database: Database::new(database),
        }
    }

    /// Returns the codes of a job that needs the model, reads, writes, and changes a row.
    async fn codes(&self) -> [Code; 4] {
        let message = ChatMessage { role: "user", content: "?" };
        let question = ChatRequest {
            messages: vec![message],
            answer_schema: None,
            model: None,
            max_output_tokens: None,
            temperature: None,
        };
        let asked = self.model.complete(&question).await.expect_err("no model").code;
        let read = self.objects.read("b", "k", 1).await.expect_err("no bucket").for_read().code;
        let written = self.objects.write_json("b", "k", "{}".into()).await.expect_err("no bucket").for_write().code;
        let changed = JobError::from(self.database.check_login().await.expect_err("no database")).code;
        [asked, read, written, changed]
    }
}

#[tokio::test]
async fn a_connection_without_a_file_descriptor_is_no_fault_of_what_is_called() {
    let given = getrlimit(Resource::Nofile);
    for host in ["127.0.0.1", "localhost"] {
        // Each from new: a name that was resolved or a thread that was started needs no more files.
        let refused = [Code::LlmNetworkError, Code::S3ReadFailed, Code::S3WriteFailed, Code::DbUpdateFailed];
        assert_eq!(Clients::to(host).codes().await, refused, "{host}");
        let clients = Clients::to(host);
        // The lowest number that is free is the next to be given.
        let next = File::open("/dev/null").expect("a file").as_raw_fd();
        let none_left = Rlimit { current: u64::try_from(next).ok(), ..given };
        setrlimit(Resource::Nofile, none_left).expect("a lower limit");
        let codes = clients.codes().await;
        setrlimit(Resource::Nofile, given).expect("the limit of before");
        assert_eq!(codes, [Code::WorkerOutOfFiles; 4], "{host}");
    }
}

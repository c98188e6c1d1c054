//! The table that most tests are a line of: a name, a guest, and how it ends.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its job fails with this code, after so many attempts.
    Fails { code: &'static str, attempts: i32 },
    /// Its job succeeds: the misdeed does no harm.
    Succeeds,
    /// Its file does not load, for this reason.
    StaysOut(&'static str),
    /// It is not even built; the code is the builder's.
    IsNotBuilt(&'static str),
    /// Its job waits for the operator, with this code.
    IsHeld(&'static str),
}

/// A test and how its guest ends, for the catalogue.
pub type Case = (&'static str, End);

/// Returns its job ends at once: the same input would fail again.
pub const fn fails(code: &'static str) -> End {
    End::Fails { code, attempts: 1 }
}

/// Returns its job is tried again, because the machine may be at fault, and ends after the last attempt.
pub const fn retries(code: &'static str) -> End {
    End::Fails { code, attempts: 4 }
}

/// Makes a test of each line, and lists them; lines without a guest are of tests written out below the table.
macro_rules! cases {
    ($($name:ident: $guest:expr => $end:expr;)* $([written out] { $($other:ident => $other_end:expr;)+ })?) => {
        pub const CASES: &[$crate::cases::Case] = &[
            $((stringify!($name), $end),)*
            $($((stringify!($other), $other_end),)+)?
        ];
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                $crate::stage::play($guest, $end).await;
            }
        )*
    };
}

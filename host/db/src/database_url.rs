//! Reading `DATABASE_URL` as libpq reads it, as far as the driver can.

use std::str::FromStr;

use assay_core::loopback::is_loopback_host;
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

/// Why a URL is refused. It has no value of the URL: any of them may be a secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    #[error("expected a URL such as postgres://user:password@host:port/database")]
    NoPostgresUrl,
    #[error("unknown parameter `{0}`: remove it")]
    UnknownParameter(String),
    #[error("sslmode is weaker than sslrootcert=system: remove it, or write sslmode=verify-full")]
    WeakMode,
    /// A password with a `?` that is not escaped looks like this.
    #[error("a parameter without a plain name: remove it, or write `%3F` for a `?` in the password")]
    UnnamedParameter,
}

/// The parameters that sqlx reads. It would log any other one with its value.
const PARAMETERS: [&str; 18] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];

/// Parses a URL. Checks scheme and parameters first, because sqlx accepts any.
pub(crate) fn parse(url: &SecretString) -> Result<PgConnectOptions, UrlFault> {
    let text = url.expose_secret();
    let known = text.split_once("://").is_some_and(|(scheme, _)| ["postgres", "postgresql"].contains(&scheme));
    let parsed = Url::parse(text).ok().filter(|_| known).ok_or(UrlFault::NoPostgresUrl)?;
    check_parameters(&parsed)?;
    let (url, mode) = verification(parsed)?;
    let options = PgConnectOptions::from_str(url.as_str()).map_err(|_| UrlFault::NoPostgresUrl)?;
    let options = match mode {
        Some(mode) => options.ssl_mode(mode),
        None => options,
    };
    // The driver keeps the brackets, and looks for a name with them.
    let host = options.get_host().strip_prefix('[').and_then(|host| host.strip_suffix(']')).map(str::to_owned);
    Ok(match host {
        Some(host) => options.host(&host),
        None => options,
    })
}

/// Returns the URL without what the driver cannot read, and the mode that libpq has for it where the driver's is weaker:
/// a root certificate is there to be verified with, and `sslrootcert=system` to be verified in full.
fn verification(mut url: Url) -> Result<(Url, Option<PgSslMode>), UrlFault> {
    let is_root = |name: &str| matches!(name, "sslrootcert" | "ssl-root-cert" | "ssl-ca");
    let pairs: Vec<_> = url.query_pairs().into_owned().collect();
    let of = |wanted: &dyn Fn(&str) -> bool| {
        pairs.iter().rev().find(|(name, _)| wanted(name)).map(|(_, value)| value.as_str())
    };
    let mode = of(&|name| matches!(name, "sslmode" | "ssl-mode"));
    let Some(root) = of(&is_root) else { return Ok((url, None)) };
    if root != "system" {
        return Ok((url, (mode == Some("require")).then_some(PgSslMode::VerifyCa)));
    }
    if mode.is_some_and(|mode| mode != "verify-full") {
        return Err(UrlFault::WeakMode);
    }
    url.query_pairs_mut().clear().extend_pairs(pairs.iter().filter(|(name, _)| !is_root(name)));
    Ok((url, Some(PgSslMode::VerifyFull)))
}

/// How connections to the database are protected on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// They do not leave this machine.
    Local,
    /// They may be plain: whoever is on the way reads everything.
    Optional,
    /// They are encrypted, but the server is not verified.
    Unverified,
    /// The server's certificate is verified, or its issuer at least.
    Verified,
}

pub(crate) fn encryption(options: &PgConnectOptions) -> Encryption {
    if options.get_socket().is_some() || is_loopback_host(options.get_host()) {
        return Encryption::Local;
    }
    match options.get_ssl_mode() {
        PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer => Encryption::Optional,
        PgSslMode::Require => Encryption::Unverified,
        PgSslMode::VerifyCa | PgSslMode::VerifyFull => Encryption::Verified,
    }
}

fn check_parameters(url: &Url) -> Result<(), UrlFault> {
    let is_known = |name: &str| PARAMETERS.contains(&name) || is_setting(name);
    let Some((name, _)) = url.query_pairs().find(|(name, _)| !is_known(name)) else { return Ok(()) };
    // An `@` ends a password: what stands before it may be the password's second half.
    let may_be_password = url.query().is_some_and(|query| query.contains('@'));
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if may_be_password || name.is_empty() || !name.chars().all(is_plain) {
        return Err(UrlFault::UnnamedParameter);
    }
    Err(UrlFault::UnknownParameter(name.into_owned()))
}

/// Returns whether a parameter sets a variable of the session: `options[NAME]`.
fn is_setting(name: &str) -> bool {
    name.strip_prefix("options[").is_some_and(|rest| rest.ends_with(']'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(url: &str) -> Option<UrlFault> {
        parse(&url.to_owned().into()).err()
    }

    #[test]
    fn every_parameter_that_sqlx_reads_is_taken() {
        assert_eq!(fault("postgres://user:secret@host:5432/db"), None);
        assert_eq!(fault("postgresql:///db?host=/run/postgresql&user=me&password=secret&port=5433&dbname=db"), None);
        assert_eq!(fault("postgres://host/db?sslmode=verify-full&ssl-root-cert=/ca.pem&options[search_path]=a"), None);
        for name in PARAMETERS {
            let value = match name {
                "hostaddr" => "127.0.0.1",
                "port" | "statement-cache-capacity" => "7",
                "sslmode" | "ssl-mode" => "disable",
                _ => "text",
            };
            assert_eq!(fault(&format!("postgres://host/db?{name}={value}")), None, "{name}");
        }
    }

    #[test]
    fn an_unknown_parameter_is_named_without_its_value() {
        for name in ["pgbouncer", "passwd", "SSLMODE", "sslpassword", "connect_timeout", "statement_cache_capacity"] {
            let found = fault(&format!("postgres://user@host/db?sslmode=disable&{name}=hunter2")).expect("a fault");
            assert_eq!(found, UrlFault::UnknownParameter(name.to_owned()));
            assert!(!found.to_string().contains("hunter2"), "{found}");
        }
    }

    #[test]
    fn a_parameter_that_may_be_a_password_is_not_named() {
        for url in [
            "postgres://user:12?hunter2@host/db",
            "postgres://user:12?hunter2=x@host/db",
            "postgres://user:12?hunter2&x@host/db",
            "postgres://host/db?hunter2%20hunter2=x",
            "postgres://host/db?=hunter2",
            "postgres://host/db?options[hunter2=x",
        ] {
            assert_eq!(fault(url), Some(UrlFault::UnnamedParameter), "{url}");
        }
    }

    #[test]
    fn what_is_no_postgres_url_is_refused_without_a_value() {
        for url in [
            "mysql://user:hunter2@host/db",
            "host/db",
            "postgres:hunter2",
            "postgres://user:hunter2",
            "postgres://host/db?sslmode=hunter2",
            "postgres://host/db?port=hunter2",
            "",
        ] {
            assert_eq!(fault(url), Some(UrlFault::NoPostgresUrl), "{url}");
        }
    }

    #[test]
    fn a_root_certificate_is_verified_with_as_libpq_does() {
        let mode = |url: &str| parse(&url.to_owned().into()).expect("a URL").get_ssl_mode();
        let is = |found: PgSslMode, wanted: &str| format!("{found:?}") == wanted;
        for (parameters, wanted) in [
            ("", "Prefer"),
            ("?sslmode=require", "Require"),
            ("?sslmode=require&sslrootcert=/ca.pem", "VerifyCa"),
            ("?ssl-ca=/ca.pem&ssl-mode=require", "VerifyCa"),
            ("?sslmode=verify-full&sslrootcert=/ca.pem", "VerifyFull"),
            ("?sslmode=disable&sslrootcert=/ca.pem", "Disable"),
            ("?sslrootcert=/ca.pem", "Prefer"),
            ("?sslrootcert=system", "VerifyFull"),
            ("?sslrootcert=system&sslmode=verify-full&application_name=a%26b", "VerifyFull"),
        ] {
            let found = mode(&format!("postgres://host/db{parameters}"));
            assert!(is(found, wanted), "{parameters}: {found:?}");
        }
        let kept =
            parse(&"postgres://host/db?sslrootcert=system&application_name=a%26b".to_owned().into()).expect("a URL");
        assert_eq!(kept.get_application_name(), Some("a&b"));
        assert_eq!(fault("postgres://host/db?sslrootcert=system&sslmode=require"), Some(UrlFault::WeakMode));
    }

    #[test]
    fn an_address_of_ipv6_has_no_brackets_for_the_driver() {
        let host = |url: &str| parse(&url.to_owned().into()).expect("a URL").get_host().to_owned();
        assert_eq!(host("postgres://me@[::1]:5432/db"), "::1");
        assert_eq!(host("postgres://me@[2001:db8::1]/db"), "2001:db8::1");
        assert_eq!(host("postgres://me@db.example/db"), "db.example");
    }

    #[test]
    fn what_leaves_the_machine_in_plain_text_is_known() {
        let found = |url: &str| encryption(&parse(&url.to_owned().into()).expect("a URL"));
        for local in
            ["postgres://127.0.0.1/db", "postgres://[::1]/db", "postgres://localhost/db", "postgres:///db?host=/run/pg"]
        {
            assert_eq!(found(local), Encryption::Local, "{local}");
        }
        assert_eq!(found("postgres://db.example/db"), Encryption::Optional);
        assert_eq!(found("postgres://db.example/db?sslmode=disable"), Encryption::Optional);
        assert_eq!(found("postgres://db.example/db?sslmode=require"), Encryption::Unverified);
        assert_eq!(found("postgres://db.example/db?sslrootcert=system"), Encryption::Verified);
    }
}

//! Where the keys of the object store come from.

use assay_core::{
    env::{SecretVariable, Variables},
    secret::{Secret, SecretFileError},
};
use url::Url;

const KEY_ID: SecretVariable = SecretVariable {
    name: "S3_ACCESS_KEY_ID",
    file: "S3_ACCESS_KEY_ID_FILE",
    help: "the id of the access key of the object store; absent: AWS_ACCESS_KEY_ID, else a role",
};
const KEY: SecretVariable = SecretVariable {
    name: "S3_SECRET_ACCESS_KEY",
    file: "S3_SECRET_ACCESS_KEY_FILE",
    help: "the secret of the access key of the object store",
};
const TOKEN: SecretVariable = SecretVariable {
    name: "S3_SESSION_TOKEN",
    file: "S3_SESSION_TOKEN_FILE",
    help: "the session token of keys that end by themselves",
};
/// AWS's own names of the same.
const AWS_NAMES: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];

/// Variables that the AWS chain of roles reads from the process's environment, and nowhere else.
pub const CHAIN_VARIABLES: [&str; 18] = [
    "AWS_CONFIG_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
    "AWS_EC2_METADATA_V1_DISABLED",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_STS",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
];

/// The keys of the object store, or how to get some.
#[derive(Clone, Debug)]
pub enum S3Credentials {
    Keys(S3Keys),
    /// The AWS chain of roles: profile, SSO, web identity, container, instance.
    Chain,
}

/// Keys that were given. Each part may be read again from its file.
#[derive(Clone, Debug)]
pub struct S3Keys {
    pub id: Secret,
    pub secret: Secret,
    pub token: Option<Secret>,
}

impl S3Credentials {
    pub(crate) fn load(vars: &mut Variables, endpoint: Option<&Url>) -> Self {
        let (id, secret, token) = (vars.secret(KEY_ID), vars.secret(KEY), vars.secret(TOKEN));
        let named = [id.is_some(), secret.is_some(), token.is_some()];
        let aws = aws_keys(vars);
        match (id, secret, token) {
            (Some(id), Some(secret), token) => Self::Keys(S3Keys { id, secret, token }),
            (None, None, None) => match aws {
                Some(keys) => Self::Keys(keys),
                None if may_have_role(vars, endpoint) => Self::Chain,
                None => {
                    vars.missing(KEY_ID.name, "the id of the access key of the object store");
                    vars.missing(KEY.name, KEY.help);
                    Self::Chain
                }
            },
            _ => {
                if !named[0] {
                    vars.missing(KEY_ID.name, "the id that belongs to the other keys");
                }
                if !named[1] {
                    vars.missing(KEY.name, KEY.help);
                }
                Self::Chain
            }
        }
    }
}

impl S3Keys {
    /// Reads the files of the keys again. Returns whether one of them has another value.
    ///
    /// # Errors
    /// A file cannot be used; the others are read all the same.
    pub(crate) fn read_again(&self) -> Result<bool, SecretFileError> {
        let mut changed = Ok(false);
        for part in [Some(&self.id), Some(&self.secret), self.token.as_ref()].into_iter().flatten() {
            changed = match (changed, part.read_again()) {
                (Ok(before), Ok(now)) => Ok(before || now),
                (Err(error), _) | (Ok(_), Err(error)) => Err(error),
            };
        }
        changed
    }
}

/// Reads AWS's names, where Assay's own are absent.
fn aws_keys(vars: &mut Variables) -> Option<S3Keys> {
    let [id, secret, token] = AWS_NAMES.map(|name| vars.optional(name, "read where the keys of S3_… are absent"));
    Some(S3Keys {
        id: Secret::fixed(AWS_NAMES[0], id?),
        secret: Secret::fixed(AWS_NAMES[1], secret?),
        token: token.map(|token| Secret::fixed(AWS_NAMES[2], token)),
    })
}

/// Returns whether the keys may come from a role: on AWS always, elsewhere where the environment names a source.
fn may_have_role(vars: &Variables, endpoint: Option<&Url>) -> bool {
    let is_aws = |url: &Url| {
        let host = url.host_str().unwrap_or_default().trim_end_matches('.');
        host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn")
    };
    endpoint.is_none_or(is_aws) || vars.has_any(&CHAIN_VARIABLES)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    /// Returns the source and the names of the faults.
    fn load(pairs: &[(&str, &str)], endpoint: Option<&str>) -> (S3Credentials, Vec<&'static str>) {
        let values = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut vars = Variables::from_map(values);
        let endpoint = endpoint.map(|text| Url::parse(text).expect("a URL"));
        let credentials = S3Credentials::load(&mut vars, endpoint.as_ref());
        (credentials, vars.finish().err().unwrap_or_default().iter().map(|fault| fault.name).collect())
    }

    fn shown(credentials: &S3Credentials) -> Option<[String; 3]> {
        let S3Credentials::Keys(S3Keys { id, secret, token }) = credentials else { return None };
        let text = |secret: &Secret| secret.current().expose_secret().to_owned();
        Some([text(id), text(secret), token.as_ref().map(text).unwrap_or_default()])
    }

    #[test]
    fn keys_of_assays_own_names_come_first_and_are_not_mixed_with_those_of_aws() {
        let own = [("S3_ACCESS_KEY_ID", "id"), ("S3_SECRET_ACCESS_KEY", "hush")];
        let aws = [("AWS_ACCESS_KEY_ID", "aws"), ("AWS_SECRET_ACCESS_KEY", "quiet"), ("AWS_SESSION_TOKEN", "token")];
        let both = [&own[..], &aws].concat();
        for (pairs, wanted) in
            [(&own[..], ["id", "hush", ""]), (&aws, ["aws", "quiet", "token"]), (&both, ["id", "hush", ""])]
        {
            let (credentials, faults) = load(pairs, Some("http://store:9000"));
            assert_eq!((shown(&credentials), faults), (Some(wanted.map(str::to_owned)), vec![]));
        }
    }

    #[test]
    fn half_a_key_is_a_fault_and_never_a_role() {
        for (pairs, missing) in [
            (&[("S3_ACCESS_KEY_ID", "id")][..], "S3_SECRET_ACCESS_KEY"),
            (&[("S3_SECRET_ACCESS_KEY", "hush")], "S3_ACCESS_KEY_ID"),
            (&[("S3_ACCESS_KEY_ID", "id"), ("S3_SESSION_TOKEN", "t")], "S3_SECRET_ACCESS_KEY"),
        ] {
            assert_eq!(load(pairs, None).1, [missing], "{pairs:?}");
        }
        assert_eq!(load(&[("S3_SESSION_TOKEN", "t")], None).1, ["S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"]);
    }

    #[test]
    fn a_role_is_tried_on_aws_or_where_the_environment_names_one() {
        for endpoint in [None, Some("https://bucket.vpce-1.s3.eu-west-1.vpce.amazonaws.com")] {
            assert_eq!(load(&[], endpoint).1, Vec::<&str>::new(), "{endpoint:?}");
        }
        for name in CHAIN_VARIABLES {
            let (credentials, faults) = load(&[(name, "x")], Some("http://store:9000"));
            assert!(matches!(credentials, S3Credentials::Chain) && faults.is_empty(), "{name}: {faults:?}");
        }
        for endpoint in ["http://store:9000", "https://amazonaws.com.example", "https://xamazonaws.com"] {
            assert_eq!(load(&[], Some(endpoint)).1, ["S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"], "{endpoint}");
        }
    }
}

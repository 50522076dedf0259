//! Who we are to a device: what the lab file's reference leads to, asked for when the device is first spoken to.

use model::SecretRef;

use super::device::DeviceError;
use super::devices::Reveal;
use super::web::Login;

/// A reference, and what reveals it.
#[derive(Clone)]
pub(crate) struct Credentials {
    reference: Option<SecretRef>,
    reveal: Reveal,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("reference", &self.reference).finish_non_exhaustive()
    }
}

impl Credentials {
    pub(crate) fn new(reference: Option<SecretRef>, reveal: &Reveal) -> Self {
        Self { reference, reveal: reveal.clone() }
    }

    /// The secret's text; `None` where the lab file has no reference.
    pub(crate) fn text(&self) -> Result<Option<String>, DeviceError> {
        let Some(reference) = &self.reference else { return Ok(None) };
        let secret = (self.reveal)(reference).map_err(|why| DeviceError::lost("no-secret", why))?;
        match std::str::from_utf8(secret.reveal()) {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(_) => {
                Err(DeviceError::lost("no-secret", format!("{reference} holds bytes that are no text")))
            }
        }
    }

    /// A user and a password: `USER:PASSWORD`, or the password alone of a device whose user has a fixed name.
    pub(crate) fn user(&self, fixed: Option<&str>) -> Result<Option<(String, String)>, DeviceError> {
        let Some(text) = self.text()? else { return Ok(None) };
        match (text.split_once(':'), fixed) {
            (Some((user, password)), None) => Ok(Some((user.to_owned(), password.to_owned()))),
            // A password may have a colon in it; a name before it is taken for one only if it is the right one.
            (Some((user, password)), Some(fixed)) if user == fixed => {
                Ok(Some((user.to_owned(), password.to_owned())))
            }
            (_, Some(fixed)) => Ok(Some((fixed.to_owned(), text))),
            (None, None) => {
                let reference = self.reference.as_ref().map(ToString::to_string).unwrap_or_default();
                let why = format!("{reference} holds no `USER:PASSWORD`");
                Err(DeviceError::lost("no-secret", why))
            }
        }
    }

    /// A user for HTTP; nobody where the lab file has no reference.
    pub(crate) fn login(&self, fixed: Option<&str>) -> Result<Login, DeviceError> {
        let user = self.user(fixed)?;
        Ok(user.map_or(Login::Nobody, |(user, password)| Login::User(user, password)))
    }

    /// A token for HTTP; nobody where the lab file has no reference.
    pub(crate) fn token(&self) -> Result<Login, DeviceError> {
        Ok(self.text()?.map_or(Login::Nobody, Login::Bearer))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::Secret;

    use super::*;

    fn kept(text: &'static str) -> Credentials {
        let reveal: Reveal = Arc::new(move |_| Ok(Secret::new(text.as_bytes().to_vec())));
        Credentials::new(Some(SecretRef::Kept("plug".to_owned())), &reveal)
    }

    #[test]
    fn a_password_may_have_a_colon_where_the_user_is_fixed() {
        let user = |text, fixed| kept(text).user(fixed).map(Option::unwrap);
        let pair = |a: &str, b: &str| Ok((a.to_owned(), b.to_owned()));
        assert_eq!(user("lab:a:b", None), pair("lab", "a:b"));
        assert_eq!(user("a:b", Some("admin")), pair("admin", "a:b"));
        assert_eq!(user("admin:b", Some("admin")), pair("admin", "b"));
        assert_eq!(user("b", Some("admin")), pair("admin", "b"));
        let error = user("b", None).unwrap_err();
        assert!(error.why.contains("secret:plug holds no `USER:PASSWORD`"), "{error}");
    }
}

//! The user database: who a run that was started as root becomes.

use nix::errno::Errno;
use nix::unistd::{Uid, User, geteuid};

use super::{Account, Error};

/// Who it is when nobody says: its own user, as packages make it, or the one that owns nothing.
const DEFAULTS: &[&str] = &["ottometer", "nobody"];

impl Account {
    /// The user that [`drop`](super::drop()) will go on as: none if that is the one it is
    /// already.
    ///
    /// `user` is a name, `UID` or `UID:GID`. Without one, root becomes `ottometer` if there is
    /// such a user, else `nobody`; any other user stays.
    ///
    /// # Errors
    ///
    /// There is no such user, or the user database cannot be read.
    pub fn to_become(user: Option<&str>) -> Result<Option<Self>, Error> {
        let current = geteuid();
        let found = match user {
            Some(user) => Self::find(user)?.ok_or_else(|| Error::NoSuchUser {
                user: user.to_owned(),
            })?,
            None if !current.is_root() => return Ok(None),
            None => Self::default_user()?,
        };
        Ok((found.uid != current.as_raw()).then_some(found))
    }

    fn default_user() -> Result<Self, Error> {
        for name in DEFAULTS {
            if let Some(found) = by_name(name)? {
                return Ok(found);
            }
        }
        // A container image of one file has no user database. The kernel's own number for
        // "nobody" (`/proc/sys/kernel/overflowuid`) needs none.
        Ok(numbered(65_534, Some(65_534)))
    }

    fn find(user: &str) -> Result<Option<Self>, Error> {
        if let Some(found) = by_name(user)? {
            return Ok(Some(found));
        }
        let (uid, gid) = match user.split_once(':') {
            Some((uid, gid)) => (uid.parse().ok(), gid.parse().map(Some).ok()),
            None => (user.parse().ok(), Some(None)),
        };
        let (Some(uid), Some(gid)) = (uid, gid) else {
            return Ok(None);
        };
        // All ones mean "leave it as it is" to setresuid(2).
        if uid == u32::MAX || gid == Some(u32::MAX) {
            return Ok(None);
        }
        Ok(Some(numbered(uid, gid)))
    }
}

fn by_name(name: &str) -> Result<Option<Account>, Error> {
    let found = User::from_name(name);
    let found = absent_is_none(found).map_err(|source| Error::Users {
        user: name.to_owned(),
        source: source.into(),
    })?;
    Ok(found.map(|user| Account {
        uid: user.uid.as_raw(),
        gid: user.gid.as_raw(),
        name: user.name,
    }))
}

/// A user by number; its group is the given one, the database's, or the one of the same number.
pub(super) fn numbered(uid: u32, gid: Option<u32>) -> Account {
    let known = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    let own_gid = known.as_ref().map_or(uid, |user| user.gid.as_raw());
    Account {
        name: known.map_or_else(|| uid.to_string(), |user| user.name),
        uid,
        gid: gid.unwrap_or(own_gid),
    }
}

/// `getpwnam_r(3)` lists these as ways of saying that there is no such user, besides saying so.
fn absent_is_none(found: Result<Option<User>, Errno>) -> Result<Option<User>, Errno> {
    match found {
        Err(Errno::ENOENT | Errno::ESRCH | Errno::EBADF | Errno::EPERM) => Ok(None),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name_and_number() {
        let root = Account {
            name: "root".to_owned(),
            uid: 0,
            gid: 0,
        };
        for (text, expected) in [
            ("root", Some(root.clone())),
            ("0", Some(root.clone())),
            ("0:0", Some(root.clone())),
            ("0:7", Some(Account { gid: 7, ..root })),
            (
                "4000000007:12",
                Some(Account {
                    name: "4000000007".to_owned(),
                    uid: 4_000_000_007,
                    gid: 12,
                }),
            ),
            (
                "4000000007",
                Some(Account {
                    name: "4000000007".to_owned(),
                    uid: 4_000_000_007,
                    gid: 4_000_000_007,
                }),
            ),
            ("4294967295", None),
            ("7:4294967295", None),
            ("4294967296", None),
            ("-1", None),
            ("7:", None),
            (":7", None),
            ("", None),
            ("no such user", None),
            ("ro\0ot", None),
        ] {
            assert_eq!(Account::find(text).unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_user_that_is_not_there_is_refused() {
        let error = Account::to_become(Some("nosuchuser")).unwrap_err();
        assert_eq!(error.to_string(), "there is no user 'nosuchuser'");
    }
}

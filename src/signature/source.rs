//! Signature files before they are read, and the folders they come from.

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use ring::digest;

use super::diagnostic::Diagnostic;
use super::packed::Tree;

/// Ids that are not given again, beside the categories.
pub(super) const TOMBSTONES: &str = "tombstones.toml";

/// Folders below the categories that are looked into for files in the wrong place. Who has more of
/// them has named another folder than he meant.
const MOST_FOLDERS: usize = 1000;

/// One file before it is read: `CATEGORY/NAME.toml` and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// The path diagnostics show; its last two parts are the folder and the file's name.
    pub path: Cow<'static, str>,
    /// What is in it.
    pub text: Cow<'static, str>,
    /// What a parser made of the text, of a file that is built in.
    pub(super) tree: Option<Tree>,
}

impl SourceFile {
    /// A file called `path`.
    pub fn new(path: impl Into<Cow<'static, str>>, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            path: path.into(),
            text: text.into(),
            tree: None,
        }
    }

    /// One that is built in.
    pub(super) const fn packed(path: &'static str, text: &'static str, tree: Tree) -> Self {
        Self {
            path: Cow::Borrowed(path),
            text: Cow::Borrowed(text),
            tree: Some(tree),
        }
    }

    /// The folder the file is in, which is its category.
    pub fn folder(&self) -> &str {
        self.path.rsplit(['/', '\\']).nth(1).unwrap_or_default()
    }

    /// The file's name without `.toml`, which is its slug.
    pub fn stem(&self) -> &str {
        let name = self.path.rsplit(['/', '\\']).next().unwrap_or_default();
        name.strip_suffix(".toml").unwrap_or(name)
    }

    /// What the file is among others: folder and name, wherever the set lies.
    pub fn key(&self) -> (&str, &str) {
        (self.folder(), self.stem())
    }
}

/// The files `DIR/*/*.toml`, in the order of their paths.
///
/// # Errors
///
/// As [`look_in`] finds.
pub fn files_in(dir: &Path) -> Result<Vec<SourceFile>, Vec<Diagnostic>> {
    match look_in(dir) {
        (files, errors) if errors.is_empty() => Ok(files),
        (_, errors) => Err(errors),
    }
}

/// The files `DIR/*/*.toml`, in the order of their paths, and what is wrong besides what is in
/// them: what could not be listed or read, and `.toml` files elsewhere in the folder, whose rules
/// nobody would miss until too late. What begins with a dot is not looked at (`.git`, `..data` of
/// a mounted volume, an editor's), nor are files that end otherwise.
pub fn look_in(dir: &Path) -> (Vec<SourceFile>, Vec<Diagnostic>) {
    let mut files = Vec::new();
    let mut errors = Vec::new();
    let mut deeper = Vec::new();
    for path in entries(dir, &mut errors) {
        if !path.is_dir() {
            let is_rules = path.file_name().is_none_or(|name| name != TOMBSTONES);
            errors.extend(is_rules.then(|| misplaced(&path)).flatten());
            continue;
        }
        for path in entries(&path, &mut errors) {
            if path.is_dir() {
                deeper.push(path);
            } else if is_toml(&path) {
                match fs::read_to_string(&path) {
                    Ok(text) => files.push(SourceFile::new(path.display().to_string(), text)),
                    Err(error) => errors.push(unreadable(&path, &error)),
                }
            }
        }
    }
    let mut looked_into = 0;
    while let Some(folder) = deeper.pop() {
        looked_into += 1;
        if looked_into > MOST_FOLDERS {
            let path = dir.display().to_string();
            let message = format!(
                "expected CATEGORY/NAME.toml files: there are more than {MOST_FOLDERS} folders in \
                 the categories"
            );
            errors.push(Diagnostic::of_file(&path, message));
            break;
        }
        for path in entries(&folder, &mut errors) {
            // Not through links: they may lead in a circle.
            if path.is_dir() && !path.is_symlink() {
                deeper.push(path);
            } else if !path.is_dir() {
                errors.extend(misplaced(&path));
            }
        }
    }
    errors.sort();
    (files, errors)
}

fn is_toml(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "toml")
}

fn misplaced(path: &Path) -> Option<Diagnostic> {
    let message = "expected CATEGORY/NAME.toml: a file elsewhere in the folder of signatures has \
                   no effect";
    is_toml(path).then(|| Diagnostic::of_file(&path.display().to_string(), message))
}

/// What is in a folder, by name, but for what is hidden.
fn entries(dir: &Path, errors: &mut Vec<Diagnostic>) -> Vec<std::path::PathBuf> {
    let listed = fs::read_dir(dir).and_then(|entries| {
        entries
            .filter(|entry| {
                let name = entry.as_ref().map(fs::DirEntry::file_name);
                !name.is_ok_and(|name| name.as_encoded_bytes().starts_with(b"."))
            })
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<Vec<_>, _>>()
    });
    match listed {
        Ok(mut paths) => {
            paths.sort();
            paths
        }
        Err(error) => {
            errors.push(unreadable(dir, &error));
            Vec::new()
        }
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Diagnostic {
    Diagnostic::of_file(
        &path.display().to_string(),
        format!("cannot be read: {error}"),
    )
}

/// SHA-256 over the files in the order of folder and name, in hex. Lengths are hashed as well, so
/// that no text can pass for two files.
pub(super) fn hash(files: &[SourceFile]) -> String {
    let mut files: Vec<_> = files.iter().collect();
    files.sort_by_cached_key(|&file| file.key());
    let mut context = digest::Context::new(&digest::SHA256);
    for file in files {
        let (folder, stem) = file.key();
        for text in [folder, stem, &file.text] {
            context.update(&(text.len() as u64).to_be_bytes());
            context.update(text.as_bytes());
        }
    }
    let digest = context.finish();
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_in_the_wrong_place_are_told() {
        let dir = tempfile::tempdir().unwrap();
        for (path, is_taken, is_told) in [
            ("chat/acme.toml", true, false),
            ("acme.toml", false, true),
            ("chat/more/acme.toml", false, true),
            ("chat/more/and/more/acme.toml", false, true),
            ("tombstones.toml", false, false),
            ("chat/more/tombstones.toml", false, true),
            ("README.md", false, false),
            ("chat/README.md", false, false),
            ("schema.json", false, false),
            ("chat/acme.toml~", false, false),
            ("acme.toml.bak", false, false),
            (".acme.toml", false, false),
            ("chat/.#acme.toml", false, false),
            (".git/acme.toml", false, false),
            (".git/chat/acme.toml", false, false),
            ("chat/.git/acme.toml", false, false),
            ("..data/chat/acme.toml", false, false),
        ] {
            let file = dir.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, "").unwrap();
            let (files, errors) = look_in(dir.path());
            fs::remove_file(&file).unwrap();
            let shown = file.display().to_string();
            let taken: Vec<_> = files.iter().map(|file| &*file.path).collect();
            let told: Vec<_> = errors.iter().map(ToString::to_string).collect();
            assert_eq!(taken == [&*shown], is_taken, "{path}: {taken:?}");
            assert_eq!(taken.is_empty(), !is_taken, "{path}: {taken:?}");
            assert_eq!(told.len(), usize::from(is_told), "{path}: {told:?}");
            for told in told {
                let expected = format!("{shown}: expected CATEGORY/NAME.toml: ");
                assert!(told.starts_with(&expected), "{told}");
            }
        }
    }

    /// A volume of Kubernetes: what is there is links through a hidden link.
    #[cfg(unix)]
    #[test]
    fn a_mounted_volume_is_read_once() {
        use std::os::unix::fs::symlink;

        let dir = tempfile::tempdir().unwrap();
        let place = |name: &str| dir.path().join(name);
        fs::create_dir_all(place("..2026_11_22/chat")).unwrap();
        fs::write(place("..2026_11_22/chat/acme.toml"), "").unwrap();
        symlink("..2026_11_22", place("..data")).unwrap();
        symlink("..data/chat", place("chat")).unwrap();
        let (files, errors) = look_in(dir.path());
        assert_eq!((files.len(), errors.len()), (1, 0), "{errors:?}");
        // A circle of links has an end.
        symlink(dir.path(), place("chat/all")).unwrap();
        let (files, errors) = look_in(dir.path());
        assert_eq!((files.len(), errors.len()), (1, 0), "{errors:?}");
    }

    #[test]
    fn a_folder_of_something_else_is_not_searched_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..=MOST_FOLDERS {
            fs::create_dir_all(dir.path().join(format!("chat/{number}"))).unwrap();
        }
        let (_, errors) = look_in(dir.path());
        assert!(
            errors[0].to_string().contains("more than 1000"),
            "{errors:?}"
        );
    }
}

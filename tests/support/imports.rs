//! Who imports whom: the paths that each file of the library names, and the files these lead to.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The files of the library, without those of its tests.
pub(crate) struct Library {
    /// By the path of the module: `["flow", "table"]`.
    modules: BTreeMap<Vec<String>, Module>,
}

struct Module {
    file: PathBuf,
    /// The paths it names, from the root of the library, with the line.
    paths: Vec<(usize, Vec<String>)>,
    /// Names that it hands on: where they come from.
    handed_on: BTreeMap<String, Vec<String>>,
}

/// A file names something of another.
#[derive(Debug)]
pub(crate) struct Import<'a> {
    pub(crate) from: &'a Path,
    pub(crate) line: usize,
    /// The modules of both, from the root.
    pub(crate) importer: &'a [String],
    pub(crate) imported: &'a [String],
}

impl Library {
    /// Reads all files below `source`.
    pub(crate) fn read(source: &Path) -> Self {
        let mut modules = BTreeMap::new();
        read_folder(source, &[], &mut modules);
        Self { modules }
    }

    /// What each file names of others.
    pub(crate) fn imports(&self) -> Vec<Import<'_>> {
        let mut imports = Vec::new();
        for (importer, module) in &self.modules {
            for (line, path) in &module.paths {
                if let Some(imported) = self.module_of(path)
                    && imported != importer
                {
                    imports.push(Import {
                        from: &module.file,
                        line: *line,
                        importer,
                        imported,
                    });
                }
            }
        }
        imports
    }

    /// Files that import one another in a circle, each circle once. The file of a folder is one as any
    /// other: it names those in it, so what these share has a file of its own, which it hands on.
    pub(crate) fn circles(&self) -> Vec<Vec<&Path>> {
        let mut edges: BTreeMap<&[String], BTreeSet<&[String]>> = BTreeMap::new();
        for Import {
            importer, imported, ..
        } in self.imports()
        {
            edges.entry(importer).or_default().insert(imported);
        }
        let reached = |from: &[String]| {
            let mut reached = BTreeSet::new();
            let mut next: Vec<&[String]> = edges.get(from).into_iter().flatten().copied().collect();
            while let Some(one) = next.pop() {
                if reached.insert(one) {
                    next.extend(edges.get(one).into_iter().flatten().copied());
                }
            }
            reached
        };
        let reached: BTreeMap<&[String], BTreeSet<&[String]>> =
            edges.keys().map(|&from| (from, reached(from))).collect();
        let mut circles = BTreeSet::new();
        for (&from, to) in &reached {
            if to.contains(from) {
                let back =
                    |one: &&&[String]| reached.get(**one).is_some_and(|to| to.contains(from));
                let circle: Vec<&Path> = to
                    .iter()
                    .filter(back)
                    .map(|one| self.modules[*one].file.as_path())
                    .collect();
                circles.insert(circle);
            }
        }
        circles.into_iter().collect()
    }

    /// The module that defines what `path` leads to.
    fn module_of(&self, path: &[String]) -> Option<&[String]> {
        let mut path = path.to_vec();
        // What is handed on from hand to hand ends somewhere.
        for _ in 0..8 {
            let known = (0..=path.len())
                .rev()
                .find(|&len| self.modules.contains_key(&path[..len]))?;
            let (module, of) = self.modules.get_key_value(&path[..known])?;
            let Some(source) = path.get(known).and_then(|name| of.handed_on.get(name)) else {
                return (!module.is_empty()).then_some(module.as_slice());
            };
            let mut next = source.clone();
            next.extend_from_slice(&path[known + 1..]);
            if next == path {
                return Some(module);
            }
            path = next;
        }
        None
    }
}

fn read_folder(folder: &Path, module: &[String], modules: &mut BTreeMap<Vec<String>, Module>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let child = [module, std::slice::from_ref(&name)].concat();
        if path.is_dir() {
            if name != "tests" {
                read_folder(&path, &child, modules);
            }
            continue;
        }
        let is_test = name == "tests" || name.ends_with("_tests") || name == "samples";
        if is_test || name == "main" || path.extension().is_none_or(|ending| ending != "rs") {
            continue;
        }
        let is_folder = name == "mod" || name == "lib";
        let module = if is_folder { module.to_vec() } else { child };
        let (paths, handed_on) = read_file(&path, &module);
        modules.insert(
            module,
            Module {
                file: path,
                paths,
                handed_on,
            },
        );
    }
}

type Paths = (Vec<(usize, Vec<String>)>, BTreeMap<String, Vec<String>>);

fn read_file(path: &Path, module: &[String]) -> Paths {
    let text = fs::read_to_string(path).unwrap();
    let text = without_tests(&text);
    let mut code = String::new();
    let mut is_of_tests = false;
    for line in text.lines() {
        if !is_of_tests {
            code.push_str(line.split("//").next().unwrap_or_default());
        }
        code.push('\n');
        is_of_tests = line.trim() == "#[cfg(test)]" || (is_of_tests && !line.ends_with(';'));
    }
    // What a file says of those below it may begin with their name.
    for child in children(path) {
        code = with_self(&code, &format!("{child}::"));
    }
    let (mut paths, mut handed_on) = (Vec::new(), BTreeMap::new());
    let starts = code.match_indices(['c', 's']).filter_map(|(at, _)| {
        let rest = &code[at..];
        let is_path = ["crate::", "super::", "self::"]
            .into_iter()
            .any(|one| rest.starts_with(one));
        let before = code[..at].chars().next_back();
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == ':' || c == '$';
        // Who may see something is no import.
        let is_visibility = code[..at].ends_with("pub(in ");
        (is_path && !is_visibility && !before.is_some_and(is_word)).then_some(at)
    });
    for at in starts {
        let line = code[..at].matches('\n').count() + 1;
        let end = code[at..].find(';').map_or(code.len(), |end| at + end);
        let statement = code[..at].lines().next_back().unwrap_or_default().trim();
        let is_public = statement.starts_with("pub") && statement.ends_with("use");
        for tree in expand(&code[at..end]) {
            let Some(mut target) = absolute(&tree.path, module) else {
                continue;
            };
            if is_public && let Some(name) = tree.name {
                handed_on.insert(name, target.clone());
            }
            if target
                .last()
                .is_some_and(|name| name == "self" || name == "*")
            {
                target.pop();
            }
            paths.push((line, target));
        }
    }
    (paths, handed_on)
}

/// The file without its module of tests, which comes last.
fn without_tests(text: &str) -> &str {
    let is_module = |rest: &str| {
        let mut lines = rest.lines().skip(1);
        let first = lines.find(|line| !line.starts_with("#["));
        first.is_some_and(|line| line.contains("mod tests {"))
    };
    let mut starts = text.match_indices("\n#[cfg(test)]\n");
    let start = starts.find(|&(at, _)| is_module(&text[at + 1..]));
    start.map_or(text, |(at, _)| &text[..at])
}

/// `code` with `self::` before each path that begins with `start`.
fn with_self(code: &str, start: &str) -> String {
    let mut whole = String::new();
    let mut from = 0;
    for (at, _) in code.match_indices(start) {
        let before = code[..at].chars().next_back();
        let goes_on = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':');
        whole.push_str(&code[from..at]);
        if !before.is_some_and(goes_on) {
            whole.push_str("self::");
        }
        from = at;
    }
    whole.push_str(&code[from..]);
    whole
}

/// The names of the files and folders that belong to a file.
fn children(path: &Path) -> Vec<String> {
    let name = path.file_stem().unwrap().to_str().unwrap();
    let folder = match name {
        "mod" | "lib" => path.parent().unwrap().to_owned(),
        _ => path.with_extension(""),
    };
    let entries = fs::read_dir(folder).into_iter().flatten();
    let names = entries.map(|entry| entry.unwrap().path());
    names
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect()
}

/// A path, and what it is called here.
struct Tree {
    path: Vec<String>,
    name: Option<String>,
}

/// The paths that begin `text`: one, or with braces several.
fn expand(text: &str) -> Vec<Tree> {
    let mut path = Vec::new();
    let mut rest = text;
    loop {
        let word: String = rest
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_' || *c == '*')
            .collect();
        rest = &rest[word.len()..];
        if !word.is_empty() {
            path.push(word);
        }
        let Some(after) = rest.strip_prefix("::") else {
            break;
        };
        rest = after;
        if let Some(list) = rest.strip_prefix('{') {
            return parts(list)
                .into_iter()
                .flat_map(|part| expand(part.trim()))
                .map(|tree| Tree {
                    path: [path.as_slice(), &tree.path].concat(),
                    name: tree.name,
                })
                .collect();
        }
    }
    let renamed = rest.trim_start().strip_prefix("as ").map(|name| {
        let word = name
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_');
        word.collect()
    });
    let name = renamed.or_else(|| path.last().cloned());
    vec![Tree { path, name }]
}

/// The parts of a list that ends with its brace.
fn parts(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                parts.push(&list[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.retain(|part| !part.trim().is_empty());
    parts
}

/// A path from the root, as `module` names it.
fn absolute(path: &[String], module: &[String]) -> Option<Vec<String>> {
    let mut base = module.to_vec();
    let mut rest = path;
    match rest.split_first()? {
        (first, after) if first == "crate" => {
            base.clear();
            rest = after;
        }
        (first, after) if first == "self" => rest = after,
        _ => {
            while let Some((first, after)) = rest.split_first()
                && first == "super"
            {
                base.pop()?;
                rest = after;
            }
        }
    }
    base.extend_from_slice(rest);
    Some(base)
}

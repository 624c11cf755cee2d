//! Which method answers a request: exact parts before `{parameter}` before `{greedy+}`, the method before `ANY`.

use std::collections::BTreeMap;

use millstream_catalog::{Method, Resource};
use percent_encoding::percent_decode_str;

/// The method that answers a request, in the definition that it was found in: a request copies none of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matched<'d> {
    /// The resource that was found.
    pub resource: &'d Resource,
    /// Its method.
    pub method: &'d Method,
    /// The parts of the path that parameters stand for, unescaped.
    pub parameters: BTreeMap<String, String>,
}

/// Finds the resource and method of a request's path (without the stage, beginning with `/`).
#[must_use]
pub fn find<'d>(resources: &'d BTreeMap<String, Resource>, method: &str, path: &str) -> Option<Matched<'d>> {
    let candidates = resources.values().filter_map(|resource| {
        let found = resource.methods.get(method).or_else(|| resource.methods.get("ANY"))?;
        Some((resource.path.as_str(), (resource, found)))
    });
    let ((resource, method), parameters) = most_exact(candidates, path)?;
    Some(Matched { resource, method, parameters })
}

/// A method that a path is tried with, deployed or not; without parameters when the path is not the resource's.
#[must_use]
pub fn tried<'d>(resource: &'d Resource, method: &'d Method, path: &str) -> Matched<'d> {
    let found = most_exact(std::iter::once((resource.path.as_str(), ())), path);
    Matched { resource, method, parameters: found.map(|((), parameters)| parameters).unwrap_or_default() }
}

/// A candidate with what the parameters of its pattern stand for.
type Found<T> = (T, BTreeMap<String, String>);

/// The candidate whose pattern fits a path most exactly, and what its parameters stand for.
pub(crate) fn most_exact<'p, T>(candidates: impl Iterator<Item = (&'p str, T)>, path: &str) -> Option<Found<T>> {
    let wanted: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let mut best: Option<(Vec<u8>, Found<T>)> = None;
    for (pattern, candidate) in candidates {
        let Some((rank, parameters)) = matches(pattern, &wanted) else { continue };
        if best.as_ref().is_none_or(|(known, _)| rank < *known) {
            best = Some((rank, (candidate, parameters)));
        }
    }
    best.map(|(_, found)| found)
}

/// How exactly a resource's path fits (0 exact, 1 parameter, 2 greedy, part by part), and its parameters.
fn matches(pattern: &str, wanted: &[&str]) -> Option<(Vec<u8>, BTreeMap<String, String>)> {
    let (mut rank, mut parameters) = (Vec::new(), BTreeMap::new());
    for (index, part) in pattern.split('/').filter(|part| !part.is_empty()).enumerate() {
        let Some(name) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) else {
            if wanted.get(index) != Some(&part) {
                return None;
            }
            rank.push(0);
            continue;
        };
        let rest = wanted.get(index..).filter(|rest| !rest.is_empty())?;
        if let Some(name) = name.strip_suffix('+') {
            parameters.insert(name.to_owned(), unescape(&rest.join("/")));
            rank.push(2);
            return Some((rank, parameters));
        }
        parameters.insert(name.to_owned(), unescape(rest[0]));
        rank.push(1);
    }
    (rank.len() == wanted.len()).then_some((rank, parameters))
}

/// Whether a path, escaped or not, has parts that lead elsewhere: `.` and `..`.
pub(crate) fn has_dot_segments(path: &str) -> bool {
    unescape(path).split(['/', '\\']).any(|part| matches!(part, "." | ".."))
}

fn unescape(part: &str) -> String {
    percent_decode_str(part).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources(paths: &[(&str, &[&str])]) -> BTreeMap<String, Resource> {
        let resource = |(index, (path, methods)): (usize, &(&str, &[&str]))| {
            let methods = methods.iter().map(|method| ((*method).to_owned(), Method::default())).collect();
            let id = format!("r{index}");
            let part = path.rsplit('/').next().unwrap_or_default().to_owned();
            (id.clone(), Resource { id, parent: None, path_part: part, path: (*path).to_owned(), methods })
        };
        paths.iter().enumerate().map(resource).collect()
    }

    #[test]
    fn parts_that_lead_elsewhere_are_found_in_any_spelling() {
        for path in ["/a/../b", "/..", "/a/.", "/a/%2e%2E/b", "/a%2f..%2fb", "/a/..\\b", "/a/%2e."] {
            assert!(has_dot_segments(path), "{path}");
        }
        for path in ["/", "/a/b", "/a..b/c", "/...", "/a/.b"] {
            assert!(!has_dot_segments(path), "{path}");
        }
    }

    #[test]
    fn the_most_exact_path_answers() {
        let resources = resources(&[
            ("/", &["POST"]),
            ("/orders", &["GET", "ANY"]),
            ("/orders/{id}", &["GET"]),
            ("/orders/latest", &["GET"]),
            ("/{proxy+}", &["ANY"]),
        ]);
        for (method, path, expected) in [
            ("POST", "/", Some("/")),
            ("GET", "/", None),
            ("GET", "/orders", Some("/orders")),
            ("PUT", "/orders/", Some("/orders")),
            ("GET", "/orders/latest", Some("/orders/latest")),
            ("GET", "/orders/a%20b", Some("/orders/{id}")),
            ("PUT", "/orders/7", Some("/{proxy+}")),
            ("GET", "/a/b/c", Some("/{proxy+}")),
        ] {
            let found = find(&resources, method, path);
            assert_eq!(found.as_ref().map(|found| found.resource.path.as_str()), expected, "{method} {path}");
        }
        assert_eq!(find(&resources, "GET", "/orders/a%20b").unwrap().parameters["id"], "a b");
        assert_eq!(find(&resources, "GET", "/a/b/c").unwrap().parameters["proxy"], "a/b/c");
    }
}

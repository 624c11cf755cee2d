//! The example's files as part of the binary, and the pipeline file of a variant: that of the example, with the functions of
//! its other files in place of those of the same name.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::cli::TweetLanguage;

/// The C# function's source, and where its package goes.
pub const CSHARP_SOURCE: &str = "functions/decode-csharp/Decode.cs";
pub const CSHARP_PACKAGE: &str = "functions/decode-csharp/publish";

/// The pipeline in Node.js, with the flaw, and what other variants change of it.
const PIPELINE: &str = include_str!("../../../../examples/tweets/pipeline.toml");
const FIXED: &str = include_str!("../../../../examples/tweets/fixed.toml");
const CSHARP: &str = include_str!("../../../../examples/tweets/csharp.toml");
const NATIVE: &str = include_str!("../../../../examples/tweets/native.toml");
const NATIVE_FIXED: &str = include_str!("../../../../examples/tweets/native-fixed.toml");

const FILES: &[(&str, &str)] = &[
    ("functions/decode/index.js", include_str!("../../../../examples/tweets/functions/decode/index.js")),
    ("functions/save/index.js", include_str!("../../../../examples/tweets/functions/save/index.js")),
    ("functions/save-fixed/index.js", include_str!("../../../../examples/tweets/functions/save-fixed/index.js")),
    (CSHARP_SOURCE, include_str!("../../../../examples/tweets/functions/decode-csharp/Decode.cs")),
    ("functions/native/bootstrap", include_str!("../../../../examples/tweets/functions/native/bootstrap")),
];

/// Writes a variant into a folder and gives its pipeline file.
///
/// # Errors
/// When the folder cannot be written.
pub fn write(folder: &Path, language: TweetLanguage, fixed: bool) -> io::Result<PathBuf> {
    for (name, text) in FILES {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, text)?;
        if name.ends_with("bootstrap") {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
    }
    let file = folder.join("pipeline.toml");
    let text = pipeline(language, fixed).map_err(io::Error::other)?;
    fs::write(&file, text)?;
    Ok(file)
}

fn pipeline(language: TweetLanguage, fixed: bool) -> Result<String, toml::de::Error> {
    let changes: &[&str] = match (language, fixed) {
        (TweetLanguage::Nodejs, false) => &[],
        (TweetLanguage::Nodejs, true) => &[FIXED],
        (TweetLanguage::Csharp, false) => &[CSHARP],
        (TweetLanguage::Csharp, true) => &[CSHARP, FIXED],
        (TweetLanguage::Native, false) => &[NATIVE],
        (TweetLanguage::Native, true) => &[NATIVE, NATIVE_FIXED],
    };
    let mut pipeline: Table = PIPELINE.parse()?;
    for change in changes {
        let change: Table = change.parse()?;
        let functions = change.get("function").and_then(Value::as_array).cloned().unwrap_or_default();
        let known = pipeline.get_mut("function").and_then(Value::as_array_mut).into_iter().flatten();
        for known in known {
            if let Some(function) = functions.iter().find(|function| function.get("name") == known.get("name")) {
                known.clone_from(function);
            }
        }
    }
    Ok(pipeline.to_string())
}

#[cfg(test)]
mod tests {
    use millstream_catalog::pipeline::{FunctionTarget, Pipeline};

    use super::*;

    #[test]
    fn every_variant_is_a_pipeline_with_its_functions() {
        for (language, fixed, codes) in [
            (TweetLanguage::Nodejs, false, ["functions/decode", "functions/save"]),
            (TweetLanguage::Nodejs, true, ["functions/decode", "functions/save-fixed"]),
            (TweetLanguage::Csharp, false, [CSHARP_PACKAGE, "functions/save"]),
            (TweetLanguage::Csharp, true, [CSHARP_PACKAGE, "functions/save-fixed"]),
            (TweetLanguage::Native, true, ["functions/native", "functions/native"]),
        ] {
            let text = pipeline(language, fixed).unwrap();
            let pipeline = Pipeline::parse("pipeline.toml", &text).unwrap_or_else(|wrong| panic!("{wrong:?}\n{text}"));
            let found: Vec<String> =
                pipeline.functions.iter().map(|function| function.value.code.value.display().to_string()).collect();
            assert_eq!(found, codes, "{language:?} {fixed}");
            let save = &pipeline.functions[1].value;
            assert_eq!(save.dead_letter, Some(FunctionTarget::Queue("dead-tweets".into())), "{language:?} {fixed}");
        }
    }
}

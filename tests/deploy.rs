//! The image and the rehearsal of `docs/deploy`, as far as they can be checked without an engine.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const DOCKERFILE: &str = "docs/deploy/Dockerfile";

/// The instructions of a Dockerfile, continued lines joined.
fn instructions() -> Vec<String> {
    let text = fs::read_to_string(DOCKERFILE).unwrap().replace("\\\n", " ");
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// What the build stage gets of the repository.
fn copied() -> Vec<PathBuf> {
    let copies = instructions().into_iter().filter(|line| line.starts_with("COPY ") && !line.contains("--from="));
    let sources = copies.flat_map(|line| {
        let words: Vec<PathBuf> = line.split_whitespace().skip(1).map(PathBuf::from).collect();
        words[..words.len() - 1].to_vec()
    });
    let sources: Vec<PathBuf> = sources.collect();
    assert!(sources.len() > 3, "{sources:?}");
    sources
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            copy(&path, &to.join(path.file_name().unwrap()));
        }
    } else {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }
}

#[test]
fn what_the_image_is_built_of_is_a_whole_package() {
    let folder = tempfile::TempDir::new().unwrap();
    for source in copied() {
        copy(&source, &folder.path().join(&source));
    }
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // What the program holds of other files has to be there as well.
    let mut included = 0;
    let mut open = vec![folder.path().join("src")];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for file in text.split("include_str!(\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            included += 1;
            assert!(path.parent().unwrap().join(file).is_file(), "{} includes {file}", path.display());
        }
    }
    assert!(included > 1);
}

#[test]
fn the_build_gets_all_that_it_copies() {
    // Everything is left out but what these lines name.
    let ignore = fs::read_to_string("docs/deploy/Dockerfile.dockerignore").unwrap();
    let let_in: Vec<&str> = ignore.lines().filter_map(|line| line.strip_prefix('!')).collect();
    assert_eq!(ignore.lines().next(), Some("*"));
    let copied = copied();
    assert!(copied.iter().all(|source| let_in.iter().any(|path| source.starts_with(path))), "{copied:?} {let_in:?}");
}

#[test]
fn the_image_runs_as_somebody_without_rights() {
    let instructions = instructions();
    let user = instructions.iter().rposition(|line| line.starts_with("USER ")).unwrap();
    assert!(user > instructions.iter().rposition(|line| line.starts_with("FROM ")).unwrap());
    assert!(!instructions[user].ends_with(" root"));
    assert!(instructions.iter().any(|line| line == "ENTRYPOINT [\"tenantry\"]"));
    assert!(instructions.iter().any(|line| line.contains("cargo install --locked")));
}

#[test]
fn the_rehearsal_names_files_and_services_that_exist() {
    let text = fs::read_to_string("docs/deploy/compose.yaml").unwrap();
    let compose: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
    let tenantry = &compose["services"]["tenantry"];
    let context = Path::new("docs/deploy").join(tenantry["build"]["context"].as_str().unwrap());
    assert!(context.join(tenantry["build"]["dockerfile"].as_str().unwrap()).is_file());
    let url = tenantry["environment"]["DATABASE_URL"].as_str().unwrap();
    let postgres = &compose["services"]["postgres"]["environment"];
    let (user, database) = (postgres["POSTGRES_USER"].as_str().unwrap(), postgres["POSTGRES_DB"].as_str().unwrap());
    assert!(url.starts_with(&format!("postgresql://{user}:${{POSTGRES_PASSWORD")), "{url}");
    assert!(url.ends_with(&format!("@postgres:5432/{database}?sslmode=disable")), "{url}");
    let given = url.replace("${POSTGRES_PASSWORD:?set a password first}", "s3cret");
    assert_eq!(tenantry::postgres::Target::parse(&given).unwrap().describe(), "postgres:5432/shop as shop");
    // Nothing else may be written to, so a run needs a place for its snapshot, which the image has for its user.
    assert_eq!(tenantry["read_only"].as_bool(), Some(true));
    let volumes: Vec<&str> = tenantry["volumes"].as_sequence().unwrap().iter().filter_map(|one| one.as_str()).collect();
    assert_eq!(volumes, ["../..:/work:ro", "snapshots:/snapshots"]);
    assert!(compose["volumes"].get("snapshots").is_some() && text.contains("--work-dir /snapshots"));
    assert!(fs::read_to_string(DOCKERFILE).unwrap().contains("install -d -o tenantry -m 0700 /snapshots"));
    // The password is nobody's default.
    assert!(!text.contains("POSTGRES_PASSWORD:-"));
}

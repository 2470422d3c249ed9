//! One page: its blocks, its links and its headings.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A fenced block.
#[derive(Debug)]
pub struct Block {
    /// The number of its first line in the page, from 1.
    pub line: usize,
    /// The word behind the fence.
    pub language: String,
    pub text: String,
}

/// A page of the documentation.
#[derive(Debug)]
pub struct Page {
    /// Its path in the repository.
    pub path: PathBuf,
    pub blocks: Vec<Block>,
    /// Where its links and pictures lead.
    pub links: Vec<String>,
    /// The names under which its headings can be linked to.
    pub anchors: BTreeSet<String>,
    /// What its sentences quote of the command line: `tenantry VERB …`.
    pub commands: Vec<String>,
}

impl Page {
    pub fn read(path: &Path) -> Self {
        let source = fs::read_to_string(path).unwrap();
        let mut page = Self {
            path: path.to_owned(),
            blocks: Vec::new(),
            links: Vec::new(),
            anchors: BTreeSet::new(),
            commands: Vec::new(),
        };
        let line = |offset: usize| source[..offset].matches('\n').count() + 1;
        let mut heading: Option<String> = None;
        let mut block: Option<Block> = None;
        for (event, range) in Parser::new_ext(&source, Options::ENABLE_TABLES).into_offset_iter() {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let name = anchor(&heading.take().unwrap_or_default());
                    // The second heading of one name gets a number.
                    let free = (1..).map(|number| format!("{name}-{number}")).find(|name| !page.anchors.contains(name));
                    let is_new = page.anchors.insert(name);
                    page.anchors.extend(free.filter(|_| !is_new));
                }
                Event::Start(Tag::CodeBlock(kind)) => {
                    let language = match kind {
                        CodeBlockKind::Fenced(language) => language.to_string(),
                        CodeBlockKind::Indented => "an indented block".to_owned(),
                    };
                    block = Some(Block { line: line(range.start) + 1, language, text: String::new() });
                }
                Event::End(TagEnd::CodeBlock) => page.blocks.extend(block.take()),
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push(dest_url.to_string());
                }
                Event::Text(text) | Event::Code(text) => {
                    let is_quoted = block.is_none() && source[range].starts_with('`');
                    page.commands.extend((is_quoted && text.starts_with("tenantry ")).then(|| text.to_string()));
                    if let Some(block) = &mut block {
                        block.text.push_str(&text);
                    } else if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                _ => {}
            }
        }
        page
    }
}

/// Returns the name that GitHub and mdBook give a heading.
fn anchor(title: &str) -> String {
    let kept = title.chars().filter(|character| character.is_alphanumeric() || " -_".contains(*character));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// Returns README and all pages of the book, by path.
pub fn pages() -> Vec<Page> {
    let mut found = vec![PathBuf::from("README.md")];
    let mut open = vec![PathBuf::from("docs")];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found.iter().map(|path| Page::read(path)).collect()
}

#[test]
fn headings_are_linked_to_as_github_does() {
    assert_eq!(anchor("Rows, and what becomes of `them`"), "rows-and-what-becomes-of-them");
    assert_eq!(anchor("per_tenant — a scope"), "per_tenant--a-scope");
}

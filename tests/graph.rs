//! The pictures of the foreign-key graph: read back as XML, every box, text and line measured.
//!
//! `TENANTRY_BLESS=1 cargo test --test graph` draws the pictures of the documentation anew.

#![expect(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use roxmltree::{Document, Node};
use std::fs;
use std::path::{Path, PathBuf};
use tenantry::cli::Project;
use tenantry::ident::{quote_always, visible};
use tenantry::plan::Plan;
use tenantry::report::{Around, Picture, Side, graph_dot, graph_mermaid, graph_svg, picture};
use tenantry::schema::TableId;

/// All specs that can be planned: the systems and the fixtures.
fn plans() -> Vec<(PathBuf, Plan)> {
    let mut specs: Vec<PathBuf> = fs::read_dir("specs").unwrap().map(|entry| entry.unwrap().path()).collect();
    specs.extend(fs::read_dir("fixtures").unwrap().map(|entry| entry.unwrap().path().join("spec.yaml")));
    specs.retain(|path| path.is_file());
    specs.sort();
    let load = |path: PathBuf| Project::load(&path, false).ok().map(|project| (path, project.plan));
    let plans: Vec<_> = specs.into_iter().filter_map(load).collect();
    assert!(plans.len() > 30, "tests run in the package's root");
    plans
}

fn both(plan: &Plan, around: Around) -> Vec<Picture> {
    vec![picture(plan, Side::Before, around), picture(plan, Side::After, around)]
}

#[derive(Debug, Clone, Copy)]
struct Area {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

impl Area {
    fn overlaps(&self, other: &Self) -> bool {
        self.left < other.right && other.left < self.right && self.top < other.bottom && other.top < self.bottom
    }

    fn holds(&self, other: &Self) -> bool {
        self.left <= other.left && self.right >= other.right && self.top <= other.top && self.bottom >= other.bottom
    }
}

fn number(node: &Node<'_, '_>, name: &str) -> f64 {
    node.attribute(name).unwrap_or("0").parse().unwrap()
}

/// Where a node's own coordinates begin, after all translations around it.
fn origin(node: &Node<'_, '_>) -> (f64, f64) {
    let translations = node.ancestors().filter_map(|node| {
        let text = node.attribute("transform")?.strip_prefix("translate(")?.strip_suffix(')')?;
        let (x, y) = text.split_once(' ')?;
        Some((x.parse::<f64>().unwrap(), y.parse::<f64>().unwrap()))
    });
    translations.fold((0.0, 0.0), |(x, y), (dx, dy)| (x + dx, y + dy))
}

fn rectangle(node: &Node<'_, '_>) -> Area {
    let (x, y) = origin(node);
    let (left, top) = (x + number(node, "x"), y + number(node, "y"));
    Area { left, top, right: left + number(node, "width"), bottom: top + number(node, "height") }
}

/// The area that a text of one line takes: its width is in the picture, above and below its line go what letters need.
fn text_area(node: &Node<'_, '_>) -> Area {
    let (x, y) = origin(node);
    let (left, line) = (x + number(node, "x"), y + number(node, "y"));
    Area { left, top: line - 11.0, right: left + number(node, "textLength"), bottom: line + 3.5 }
}

/// Points along a line of moves, straight lines and curves.
fn points(node: &Node<'_, '_>) -> Vec<(f64, f64)> {
    let (dx, dy) = origin(node);
    let way = node.attribute("d").unwrap();
    let mut points: Vec<(f64, f64)> = Vec::new();
    for step in way.split(['M', 'L']).skip(1) {
        let (start, curve) = step.split_once('C').unwrap();
        let numbers = |text: &str| text.split_whitespace().map(|word| word.parse::<f64>().unwrap()).collect::<Vec<_>>();
        let (start, curve) = (numbers(start), numbers(curve));
        let corners = [(start[0], start[1]), (curve[0], curve[1]), (curve[2], curve[3]), (curve[4], curve[5])];
        if let Some(&(x, y)) = points.last() {
            let (to_x, to_y) = (corners[0].0 + dx, corners[0].1 + dy);
            points
                .extend((0..=20).map(|part| f64::from(part) / 20.0).map(|t| (x + (to_x - x) * t, y + (to_y - y) * t)));
        }
        points.extend((0..=40).map(|part| f64::from(part) / 40.0).map(|t| {
            let weights = [(1.0 - t).powi(3), 3.0 * t * (1.0 - t).powi(2), 3.0 * t * t * (1.0 - t), t.powi(3)];
            let sum = |pick: fn(&(f64, f64)) -> f64| {
                corners.iter().zip(weights).map(|(corner, weight)| pick(corner) * weight).sum::<f64>()
            };
            (sum(|corner| corner.0) + dx, sum(|corner| corner.1) + dy)
        }));
    }
    points
}

/// Returns everything that is wrong with a picture.
fn faults(svg: &str) -> Vec<String> {
    let document = Document::parse(svg).unwrap();
    let is = |node: &Node<'_, '_>, class: &str| {
        node.attribute("class").is_some_and(|classes| classes.split(' ').any(|word| word == class))
    };
    let all = || document.descendants();
    let paper = rectangle(&all().find(|node| is(node, "paper")).unwrap());
    let mut faults = Vec::new();
    let mut boxes: Vec<(String, Area)> = Vec::new();
    for table in all().filter(|node| is(node, "table")) {
        let texts: Vec<_> = table.children().filter(|node| node.has_tag_name("text")).collect();
        let name = texts[0].text().unwrap_or_default().to_owned();
        let area = rectangle(&table.children().find(|node| node.has_tag_name("rect")).unwrap());
        let outside = texts.iter().filter(|text| !area.holds(&text_area(text)));
        faults.extend(outside.map(|text| format!("{:?} reaches out of {name:?}", text.text())));
        for (position, text) in texts.iter().enumerate() {
            let under = texts[..position].iter().filter(|other| text_area(other).overlaps(&text_area(text)));
            faults.extend(under.map(|other| format!("{:?} lies on {:?} in {name:?}", text.text(), other.text())));
        }
        faults.extend((!paper.holds(&area)).then(|| format!("{name:?} reaches over the edge")));
        faults.extend(
            boxes
                .iter()
                .filter(|(_, other)| area.overlaps(other))
                .map(|(other, _)| format!("{name:?} lies on {other:?}")),
        );
        boxes.push((name, area));
    }
    for text in all().filter(|node| is(node, "entry") || is(node, "heading")) {
        let over = boxes.iter().filter(|(_, area)| area.overlaps(&text_area(&text)));
        faults.extend(over.map(|(name, _)| format!("{:?} lies on {name:?}", text.text())));
        faults.extend((!paper.holds(&text_area(&text))).then(|| format!("{:?} reaches over the edge", text.text())));
    }
    for line in all().filter(|node| node.has_tag_name("path") && is(node, "line")) {
        let inside = |(x, y): &(f64, f64)| {
            boxes.iter().find(|(_, area)| {
                *x > area.left + 0.5 && *x < area.right - 0.5 && *y > area.top + 0.5 && *y < area.bottom - 0.5
            })
        };
        let title = line.children().find_map(|node| node.text()).unwrap_or_default();
        let points = points(&line);
        assert!(points.len() > 40, "{title} has no way");
        faults.extend(
            points.iter().find_map(inside).map(|(name, _)| format!("the line {title:?} runs through {name:?}")),
        );
        let over = points.iter().any(|&(x, y)| !paper.holds(&Area { left: x, top: y, right: x, bottom: y }));
        faults.extend(over.then(|| format!("the line {title:?} reaches over the edge")));
    }
    faults
}

#[test]
fn no_box_lies_on_another_and_no_line_runs_through_one() {
    let mut boxes = 0;
    for (path, plan) in plans() {
        let svg = graph_svg(&both(&plan, Around::default()));
        let faults = faults(&svg);
        assert!(faults.is_empty(), "{}:\n{}", path.display(), faults.join("\n"));
        let found = svg.matches("<g class=\"table ").count();
        let created = plan.source.table_ids().filter(|&id| plan.tenancy.is_created(id)).count();
        assert_eq!(
            found,
            plan.source.tables.len() - created + plan.rewritten.target.tables.len(),
            "{}",
            path.display()
        );
        boxes += found;
    }
    println!("{boxes} boxes");
}

#[test]
fn the_measuring_finds_faults() {
    let project = Project::load(Path::new("specs/docuflow.yaml"), false).unwrap();
    let good = graph_svg(&[picture(&project.plan, Side::After, Around::default())]);
    assert_eq!(faults(&good), Vec::<String>::new());
    // A box as wide as the paper lies on others, under lines, and over the edge.
    let first = good.find("<g class=\"table").unwrap();
    let at = first + good[first..].find(" width=\"").unwrap();
    let bad = format!("{} width=\"3000\" data-was=\"{}", &good[..at], &good[at + " width=\"".len()..]);
    let found = faults(&bad).join("\n");
    for wanted in ["lies on", "runs through", "over the edge"] {
        assert!(found.contains(wanted), "{wanted}: {found}");
    }
    let narrow = good.replacen("textLength=\"", "textLength=\"9", 40);
    assert!(faults(&narrow).iter().any(|fault| fault.contains("reaches out of")));
}

/// A schema whose names are markup in one format or another.
fn markup() -> Plan {
    let names = [
        "<script>alert(\"1\")</script>",
        "a\"]:::root",
        "#quot;&lt;]]>",
        "`**md**`",
        "x\\\" -> y",
        "\u{ffff}\u{202e}\u{1b}[2J",
        "Größe 表",
    ];
    let folder = tempfile::TempDir::new().unwrap();
    let tables = names.iter().enumerate().map(|(number, name)| {
        let (quoted, parent) = (quote_always(name), quote_always(names[number / 2]));
        format!("CREATE TABLE {quoted} (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL, {quoted} INTEGER REFERENCES {parent} (id));\n")
    });
    fs::write(folder.path().join("schema.sql"), tables.collect::<String>()).unwrap();
    let spec = "version: 1\nsource: schema.sql\ntenant: {column: account_id, type: bigint}\ndefaults: {tenant: {column: account_id}}\n";
    fs::write(folder.path().join("spec.yaml"), spec).unwrap();
    match Project::load(&folder.path().join("spec.yaml"), true) {
        Ok(project) => project.plan,
        Err(failure) => panic!("{}", failure.errors),
    }
}

#[test]
fn hostile_names_are_text_in_every_format() {
    let fixture = Project::load(Path::new("fixtures/hostile-names/spec.yaml"), false).unwrap();
    for plan in [fixture.plan, markup()] {
        are_text(&plan);
    }
}

fn are_text(plan: &Plan) {
    let around = Around { path: Some(TableId(0)), centre: None };
    let pictures = both(plan, around);
    let names: Vec<String> =
        plan.source.tables.iter().map(|table| visible(&table.name).replace('\u{ffff}', "\u{fffd}")).collect();
    let is_there =
        |text: &str, name: &str| text == name || text.ends_with('…') && name.starts_with(text.trim_end_matches('…'));

    let svg = graph_svg(&pictures);
    assert_eq!(faults(&svg), Vec::<String>::new());
    let document = Document::parse(&svg).unwrap();
    for name in &names {
        let found = document.descendants().filter_map(|node| node.text()).any(|text| is_there(text, name));
        assert!(found, "{name:?} is not in the picture");
    }
    let known = ["svg", "title", "style", "defs", "marker", "path", "rect", "g", "text"];
    let strange: Vec<_> =
        document.descendants().filter(|node| node.is_element() && !known.contains(&node.tag_name().name())).collect();
    assert!(strange.is_empty(), "{strange:?}");

    let mermaid = graph_mermaid(&pictures);
    for line in mermaid.lines() {
        let quotes = line.matches('"').count();
        assert!(quotes == 0 || quotes == 2, "{line}");
        let label = line.split('"').nth(1).unwrap_or_default().replace("<br/>", "");
        assert!(!label.contains(['<', '>', '`', '[', '&', '\\']), "{line}");
    }
    let labels: Vec<String> =
        mermaid.lines().filter_map(|line| Some(decoded(line.split("[\"").nth(1)?.split('"').next()?))).collect();
    for name in &names {
        assert!(
            labels.iter().any(|label| is_there(label.split("<br/>").next().unwrap(), name)),
            "{name:?}: {labels:#?}"
        );
    }

    let dot = graph_dot(&pictures);
    let texts = quoted(&dot);
    for name in &names {
        assert!(texts.iter().any(|text| is_there(text.split('\n').next().unwrap(), name)), "{name:?}: {texts:#?}");
    }
    for text in [&svg, &mermaid, &dot] {
        assert!(!text.chars().any(|character| character.is_control() && character != '\n'));
    }
}

/// Reads Mermaid's numbered entities.
fn decoded(label: &str) -> String {
    let mut parts = label.split('#');
    let mut text = parts.next().unwrap().to_owned();
    for part in parts {
        let (number, rest) = part.split_once(';').unwrap();
        text.push(char::from_u32(number.parse().unwrap()).unwrap());
        text.push_str(rest);
    }
    text
}

/// Reads the quoted texts of a DOT file, and makes sure that nothing strange stands between them.
fn quoted(dot: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let mut characters = dot.chars();
    while let Some(character) = characters.next() {
        if character != '"' {
            assert!(character.is_ascii_alphanumeric() || " \n{}[]=,;->_".contains(character), "{character:?} in {dot}");
            continue;
        }
        let mut text = String::new();
        loop {
            match characters.next().unwrap() {
                '"' => break,
                '\\' => match characters.next().unwrap() {
                    'n' => text.push('\n'),
                    escaped => text.push(escaped),
                },
                other => text.push(other),
            }
        }
        texts.push(text);
    }
    texts
}

#[test]
fn the_way_to_the_tenant_is_marked_on_both_sides() {
    let project = Project::load(Path::new("specs/bai.yaml"), false).unwrap();
    let path = project.plan.source.find_table("invoice_items");
    for picture in both(&project.plan, Around { path, centre: None }) {
        let svg = graph_svg(&[picture]);
        let document = Document::parse(&svg).unwrap();
        let marked: Vec<&str> = document
            .descendants()
            .filter(|node| {
                node.attribute("class").is_some_and(|class| class.starts_with("table ") && class.ends_with(" marked"))
            })
            .filter_map(|node| node.descendants().find(|node| node.has_tag_name("text"))?.text())
            .collect();
        assert_eq!(marked, ["customers", "invoice_items", "invoices"]);
        assert_eq!(svg.matches("class=\"line marked\"").count(), 2, "{svg}");
    }
}

#[test]
fn around_shows_a_table_and_its_neighbours_alone() {
    let project = Project::load(Path::new("specs/docuflow.yaml"), false).unwrap();
    let centre = project.plan.source.find_table("connector_configs");
    let mermaid = graph_mermaid(&[picture(&project.plan, Side::Before, Around { path: None, centre })]);
    let shown = |name: &str| mermaid.contains(&format!("[\"{name}<br/>"));
    assert!(shown("connector_configs") && shown("field_mappings") && shown("users"), "{mermaid}");
    assert!(!shown("organizations") && !shown("batches"), "{mermaid}");
}

/// Compares a committed picture with what the spec gives, or draws it anew where the environment asks for that.
fn committed(file: &str, svg: &str) {
    if std::env::var_os("TENANTRY_BLESS").is_some_and(|value| !value.is_empty() && value != "0") {
        fs::write(file, svg).unwrap();
    }
    // Two pictures side by side would tell nobody anything.
    assert!(fs::read_to_string(file).is_ok_and(|found| found == svg), "{file}: draw it anew with `make bless`");
}

#[test]
fn the_pictures_of_the_documentation_are_those_of_the_spec() {
    let project = Project::load(Path::new("specs/docuflow.yaml"), false).unwrap();
    let path = project.plan.source.find_table("field_mappings");
    for (file, side) in [("docs/docuflow-before.svg", Side::Before), ("docs/docuflow-after.svg", Side::After)] {
        committed(file, &graph_svg(&[picture(&project.plan, side, Around { path, centre: None })]));
    }
}

#[test]
fn the_pictures_of_the_systems_are_those_of_their_specs() {
    let pages = fs::read_dir("docs/systems").unwrap().map(|entry| entry.unwrap().path());
    let pages = pages.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let names = pages.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned());
    let systems: Vec<String> = names.filter(|name| name != "README").collect();
    assert_eq!(systems.len(), 5);
    for name in systems {
        let project = Project::load(Path::new(&format!("specs/{name}.yaml")), false).unwrap();
        let everything = Around { path: None, centre: None };
        committed(&format!("docs/systems/{name}.svg"), &graph_svg(&both(&project.plan, everything)));
    }
}

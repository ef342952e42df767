//! Figures beside their aims, as a table or as JSON.

use serde_json::{Value, json};

/// The aim of a figure.
#[derive(Clone, Copy)]
pub(crate) enum Aim {
    AtLeast(f64),
    AtMost(f64),
    /// For information, without an aim.
    None,
}

impl Aim {
    fn is_reached_by(self, figure: f64) -> Option<bool> {
        match self {
            Self::AtLeast(bound) => Some(figure >= bound),
            Self::AtMost(bound) => Some(figure <= bound),
            Self::None => None,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(bound) => format!(">= {bound}"),
            Self::AtMost(bound) => format!("<= {bound}"),
            Self::None => String::new(),
        }
    }
}

struct Row {
    scene: &'static str,
    what: String,
    figure: f64,
    aim: Aim,
}

/// The figures of a run.
pub(crate) struct Report {
    json: bool,
    scene: &'static str,
    rows: Vec<Row>,
}

impl Report {
    pub(crate) fn new(json: bool) -> Self {
        Self {
            json,
            scene: "",
            rows: Vec::new(),
        }
    }

    /// The same report, for the figures of one scene.
    pub(crate) fn scene(&mut self, scene: &'static str) -> &mut Self {
        self.scene = scene;
        self
    }

    /// Adds a figure, and prints it at once because scenes take long.
    pub(crate) fn add(&mut self, what: impl Into<String>, figure: f64, aim: Aim) {
        let what = what.into();
        eprintln!("{}: {what}: {figure:.3} {}", self.scene, aim.text());
        self.rows.push(Row {
            scene: self.scene,
            what,
            figure,
            aim,
        });
    }

    pub(crate) fn print(&self) {
        if self.json {
            let rows: Vec<Value> = self.rows.iter().map(as_json).collect();
            println!("{}", json!({ "figures": rows }));
            return;
        }
        println!("| scene | what | figure | aim | |\n|---|---|---|---|---|");
        for row in &self.rows {
            let reached = match row.aim.is_reached_by(row.figure) {
                Some(true) => "reached",
                Some(false) => "missed",
                None => "",
            };
            let (scene, what, figure) = (row.scene, &row.what, row.figure);
            println!(
                "| {scene} | {what} | {figure:.3} | {} | {reached} |",
                row.aim.text()
            );
        }
    }
}

fn as_json(row: &Row) -> Value {
    json!({
        "scene": row.scene,
        "what": row.what,
        "figure": row.figure,
        "aim": row.aim.text(),
        "reached": row.aim.is_reached_by(row.figure),
    })
}

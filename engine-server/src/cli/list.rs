//! `realm list`: the models of the store.

use std::io::{Write, stdout};

use clap::Args;
use indicatif::BinaryBytes;

use super::surroundings::StoreArgs;
use crate::store::StoredModel;

/// Hex digits of a digest that a table shows; enough to name it.
const SHOWN_DIGITS: usize = 12;

/// Lists the models in the store.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Print a JSON array
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Runs the command.
pub(super) fn run(args: &ListArgs) -> anyhow::Result<()> {
    let store = args.store.open()?;
    let models = store.models()?;
    if args.json {
        writeln!(stdout(), "{}", serde_json::to_string_pretty(&models)?)?;
        return Ok(());
    }
    if models.is_empty() {
        eprintln!("the store {} is empty; `realm download` fills it", store.root().display());
        return Ok(());
    }
    write!(stdout(), "{}", table(&models))?;
    for model in &models {
        if let Some(problem) = &model.problem {
            eprintln!("warning: {} cannot be used: {problem}", model.path);
        }
    }
    Ok(())
}

/// Columns as wide as their widest cell.
fn table(models: &[StoredModel]) -> String {
    let head = ["NAME", "QUANT", "SIZE", "PARAMETERS", "CONTEXT", "DIGEST"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(head).chain(models.iter().map(row)).collect();
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<_> = (0..rows[0].len()).map(width).collect();
    rows.iter().fold(String::new(), |mut text, row| {
        let cells: Vec<_> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
        text
    })
}

fn row(model: &StoredModel) -> [String; 6] {
    let or_dash = |cell: Option<String>| cell.unwrap_or_else(|| "-".to_owned());
    [
        model.name.clone(),
        or_dash(model.quantization.clone()),
        BinaryBytes(model.bytes).to_string(),
        or_dash(model.parameters.map(millions)),
        or_dash(model.context_length.map(|tokens| tokens.to_string())),
        model.digest.chars().take(SHOWN_DIGITS).collect(),
    ]
}

/// 134515008 as `134.5M`, 7241732096 as `7.2B`.
fn millions(parameters: u64) -> String {
    let count = parameters as f64;
    if count >= 1e9 { format!("{:.1}B", count / 1e9) } else { format!("{:.1}M", count / 1e6) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_aligned_columns_and_dashes_for_the_unknown() {
        let good = StoredModel {
            name: "Smol".into(),
            file: "m.gguf".into(),
            digest: "0123456789abcdef".into(),
            bytes: 98_362_432,
            quantization: Some("Q4_1".into()),
            parameters: Some(134_515_008),
            context_length: Some(8192),
            path: "/s/m.gguf".into(),
            problem: None,
        };
        let bad = StoredModel {
            name: "a longer name".into(),
            quantization: None,
            parameters: None,
            context_length: None,
            ..good.clone()
        };
        expect_test::expect![[r"
            NAME           QUANT  SIZE       PARAMETERS  CONTEXT  DIGEST
            Smol           Q4_1   93.81 MiB  134.5M      8192     0123456789ab
            a longer name  -      93.81 MiB  -           -        0123456789ab
        "]]
        .assert_eq(&table(&[good, bad]));
        assert_eq!(millions(7_241_732_096), "7.2B");
    }
}

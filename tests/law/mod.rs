//! How much of a trait's law the suite for the trait tries.

use std::collections::BTreeSet;

use tripod::lock::conformance::{CaseReport, Report};

/// The sentences of a trait's documentation from where it begins to where it ends in the source,
/// without headings, bold leads and the targets of links.
pub(crate) fn sentences(source: &str, begins: &str, ends: &str) -> BTreeSet<String> {
    let start = source.find(begins).unwrap();
    let end = source.find(ends).unwrap();
    let lines = source[start..end].lines().map(str::trim);
    let mut text = String::new();
    for line in lines {
        match line.strip_prefix("///").map(str::trim) {
            Some("") | None => text += "\n",
            Some(heading) if heading.starts_with('#') => text += "\n",
            Some(words) => text = text + words + " ",
        }
    }
    let paragraphs = text.lines().filter(|paragraph| !paragraph.is_empty());
    let sentences = paragraphs.flat_map(|paragraph| {
        let paragraph = unlinked(paragraph);
        let words = match paragraph
            .strip_prefix("**")
            .and_then(|lead| lead.split_once(".** "))
        {
            Some((_lead, rest)) => rest,
            None => &paragraph,
        };
        let words = words.trim().replace(". ", ".\n");
        words.lines().map(str::to_owned).collect::<Vec<_>>()
    });
    sentences.collect()
}

/// Text with its links' words in their places.
fn unlinked(text: &str) -> String {
    let mut words = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once("[`") {
        let (name, after) = link.split_once("`]").unwrap();
        words = words + before + "`" + name + "`";
        rest = match after.strip_prefix('(') {
            Some(target) => target.split_once(')').unwrap().1,
            None => after,
        };
    }
    words + rest
}

/// Each sentence of the law is quoted by a case, or stands among those that none can try, with
/// the reason; and nothing else is quoted.
pub(crate) fn is_covered(
    law: &BTreeSet<String>,
    report: &Report,
    untested: &[(&'static str, &str)],
) {
    let tested = report.cases().flat_map(CaseReport::law).copied();
    let untested = untested.iter().map(|(sentence, _)| *sentence);
    let known: BTreeSet<_> = tested.chain(untested).collect();
    let law: BTreeSet<_> = law.iter().map(String::as_str).collect();
    let missing: Vec<_> = law.difference(&known).collect();
    assert!(missing.is_empty(), "no case for {missing:#?}");
    let invented: Vec<_> = known.difference(&law).collect();
    assert!(invented.is_empty(), "not in the law: {invented:#?}");
}

//! Exports as CSV.

use super::{BadExport, Column, Columns, Day, Measure, Theirs};
use super::{count, dollars, is_usd, of_line_item};

/// How a value is read and what it adds to.
struct Part {
    column: usize,
    measures: &'static [Measure],
    read: fn(&str) -> Option<i128>,
}

/// Where a form keeps what.
struct Form {
    day: usize,
    model: Option<usize>,
    model_of: fn(&str) -> &str,
    currency: Option<usize>,
    parts: Vec<Part>,
}

type Named = &'static [(&'static str, &'static [Measure], fn(&str) -> Option<i128>)];

const WHOLE: &[Measure] = &[Measure::Prompt];
const READ: &[Measure] = &[Measure::Prompt, Measure::Cached];

const OPENAI_USAGE: Named = &[
    ("num_model_requests", &[Measure::Requests], count),
    ("input_tokens", WHOLE, count),
    ("input_cached_tokens", &[Measure::Cached], count),
    ("output_tokens", &[Measure::Completion], count),
];
const OPENAI_COSTS: Named = &[("amount_value", &[Measure::Cost], dollars)];
const ANTHROPIC_USAGE: Named = &[
    ("usage_input_tokens_no_cache", WHOLE, count),
    ("usage_input_tokens_cache_write_5m", WHOLE, count),
    ("usage_input_tokens_cache_write_1h", WHOLE, count),
    ("usage_input_tokens_cache_read", READ, count),
    ("usage_output_tokens", &[Measure::Completion], count),
];
const ANTHROPIC_COST: Named = &[("cost_usd", &[Measure::Cost], dollars)];

/// The known forms: the column that tells them, that of the day, that of the model, that of the
/// currency, and those of the measures.
const FORMS: &[(&str, &str, &str, Option<&str>, Named)] = &[
    ("num_model_requests", "start_time", "model", None, OPENAI_USAGE),
    ("amount_value", "start_time", "line_item", Some("amount_currency"), OPENAI_COSTS),
    ("usage_input_tokens_no_cache", "usage_date_utc", "model_version", None, ANTHROPIC_USAGE),
    ("cost_usd", "usage_date_utc", "model", None, ANTHROPIC_COST),
];

pub(super) fn read(text: &str, columns: &Columns) -> Result<Theirs, BadExport> {
    let first = text.lines().next().unwrap_or_default();
    let tabs = first.contains('\t') && !first.contains(',');
    let delimiter = if tabs { b'\t' } else { b',' };
    let mut rows = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let bad = |error: csv::Error| BadExport(error.to_string());
    let head = rows.headers().map_err(bad)?.clone();
    let form = Form::of(&head, columns)?;
    let mut theirs = Theirs::default();
    for row in rows.records() {
        form.row(&row.map_err(bad)?, &head, &mut theirs)?;
    }
    Ok(theirs)
}

impl Form {
    fn of(head: &csv::StringRecord, columns: &Columns) -> Result<Self, BadExport> {
        let at = |name: &str| head.iter().position(|column| column == name);
        let known = FORMS.iter().filter(|_| columns.0.is_empty()).find(|form| {
            let (sign, day, ..) = form;
            at(sign).is_some() && at(day).is_some()
        });
        let Some((_, day, model, currency, named)) = known else {
            return Self::named(head, columns);
        };
        let part = |&(name, measures, read): &(&str, _, _)| {
            Some(Part { column: at(name)?, measures, read })
        };
        Ok(Self {
            day: at(day).unwrap_or_default(),
            model: at(model),
            model_of: if *model == "line_item" { of_line_item } else { |name| name },
            currency: currency.and_then(at),
            parts: named.iter().filter_map(part).collect(),
        })
    }

    /// The form of a file whose columns have our names, or those that were said.
    fn named(head: &csv::StringRecord, columns: &Columns) -> Result<Self, BadExport> {
        let find = |column: Column| -> Result<Option<usize>, BadExport> {
            let told = columns.0.get(&column);
            let name = told.map_or(column.name(), String::as_str);
            let found = head.iter().position(|column| column == name);
            if told.is_some() && found.is_none() {
                let there: Vec<&str> = head.iter().collect();
                let there = there.join(", ");
                return Err(BadExport(format!("there is no column {name:?}, only {there}")));
            }
            Ok(found)
        };
        let mut parts = Vec::new();
        for (measure, measures) in [
            (Measure::Requests, &[Measure::Requests] as &'static [Measure]),
            (Measure::Prompt, WHOLE),
            (Measure::Cached, &[Measure::Cached]),
            (Measure::Completion, &[Measure::Completion]),
            (Measure::Cost, &[Measure::Cost]),
        ] {
            let read = if measure == Measure::Cost { dollars } else { count };
            let column = find(Column::Measure(measure))?;
            parts.extend(column.map(|column| Part { column, measures, read }));
        }
        let day = find(Column::Date)?.filter(|_| !parts.is_empty());
        let Some(day) = day else {
            let names = Column::ALL.map(Column::name).join(", ");
            return Err(BadExport(format!(
                "this is no export of OpenAI's or Anthropic's, and not both a date and a measure \
                 were found among its columns; name them with --column, of {names}"
            )));
        };
        let model = find(Column::Model)?;
        Ok(Self { day, model, model_of: |name| name, currency: None, parts })
    }

    fn row(
        &self,
        row: &csv::StringRecord,
        head: &csv::StringRecord,
        theirs: &mut Theirs,
    ) -> Result<(), BadExport> {
        let cell = |column: usize| row.get(column).unwrap_or_default();
        let wrong = |column: usize, what: &str| {
            let line = row.position().map_or(0, csv::Position::line);
            let name = head.get(column).unwrap_or_default();
            BadExport(format!("line {line}: {name} {:?} is no {what}", cell(column)))
        };
        let day = Day::parse(cell(self.day)).ok_or_else(|| wrong(self.day, "day in UTC"))?;
        theirs.covers(day);
        let told = |part: &&Part| !cell(part.column).is_empty();
        if let Some(currency) = self.currency
            && self.parts.iter().any(|part| told(&part))
            && !is_usd(cell(currency))
        {
            return Err(wrong(currency, "currency that is compared: only USD is"));
        }
        let model = self.model.map_or("", |model| (self.model_of)(cell(model)));
        for part in self.parts.iter().filter(told) {
            let amount = (part.read)(cell(part.column));
            let amount = amount.ok_or_else(|| wrong(part.column, "number of this kind"))?;
            for measure in part.measures {
                theirs.add(day, model, *measure, amount);
            }
        }
        Ok(())
    }
}

//! The parameters of a request that not every endpoint takes.

use crate::catalog::{Param, Params};
use crate::dialect::scan::{Head, Notes};

/// The parameters that a request has, of those that endpoints differ in. Members of one format
/// alone are not among them; what of these is lost at a provider is for its dialect to say.
pub fn params_of(head: &Head) -> Params {
    let has = |(param, note): (&Param, &Notes)| head.notes.meets(*note).then_some(*param);
    Param::ALL.iter().zip(&NOTES).filter_map(has).collect()
}

/// What each parameter is noted as. `structured_outputs` is no member of a request but a kind of
/// `response_format`.
const NOTES: [Notes; Param::ALL.len()] = {
    let mut notes = [Notes::NONE; Param::ALL.len()];
    let mut i = 0;
    while i < notes.len() {
        if !matches!(Param::ALL[i], Param::StructuredOutputs) {
            notes[i] = Notes::member(Param::ALL[i].as_str().as_bytes());
        }
        i += 1;
    }
    notes
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::scan::scan;

    #[test]
    fn each_parameter_is_seen() {
        for param in Param::ALL.iter().filter(|param| **param != Param::StructuredOutputs) {
            let value = match param {
                Param::Tools => "[{\"type\":\"function\"}]",
                _ => "1",
            };
            let name = param.as_str();
            let body = format!(r#"{{"model":"m","messages":[{{}}],"{name}":{value}}}"#);
            let head = scan(body.as_bytes()).expect(name);
            assert_eq!(params_of(&head), Params::of(&[*param]), "{name}");
        }
        let plain = scan(br#"{"model":"m","messages":[{}],"stream":true}"#).expect("a head");
        assert!(params_of(&plain).is_empty());
    }
}

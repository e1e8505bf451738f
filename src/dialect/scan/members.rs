//! Single members that the gateway acts on.

use super::lexer::Blind;
use super::prefs_read::{boolean, choice};
use super::{Oops, SESSION_ID_MAX, Scan, refuse, span};

impl Scan<'_> {
    /// The older way to say `provider.sort.partition`: "fallback" goes model by model, "sort" ranks
    /// the endpoints of all models together.
    pub(super) fn route(&mut self) -> Result<(), Oops> {
        let route = choice(&mut self.lexer, "route", &["fallback", "sort"])?;
        self.head.route_sort = route == Some("sort");
        Ok(())
    }

    pub(super) fn preset(&mut self) -> Result<(), Oops> {
        if self.lexer.peek() == Some(b'n') {
            self.lexer.value(1, &mut Blind)?;
            return Ok(());
        }
        let text = self.text()?.and_then(|t| t.unescape()).filter(|t| !t.is_empty());
        let wrong = || refuse("preset", "'preset' must be the name of a preset");
        self.head.preset = Some(text.ok_or_else(wrong)?);
        Ok(())
    }

    pub(super) fn session_id(&mut self) -> Result<(), Oops> {
        if self.lexer.peek() == Some(b'n') {
            self.lexer.value(1, &mut Blind)?;
            return Ok(());
        }
        let text = self.text()?.and_then(|t| t.unescape());
        match text {
            Some(text) if text.chars().count() <= SESSION_ID_MAX => Ok(()),
            _ => Err(refuse(
                "session_id",
                format!("'session_id' must be a string of at most {SESSION_ID_MAX} characters"),
            )),
        }
    }

    pub(super) fn stream_options(&mut self) -> Result<(), Oops> {
        match self.lexer.peek() {
            Some(b'n') => {
                self.lexer.value(1, &mut Blind)?;
                return Ok(());
            }
            Some(b'{') => self.lexer.expect(b'{', "expected an object")?,
            _ => return Err(refuse("stream_options", "'stream_options' must be an object")),
        }
        let mut first = true;
        while let Some(key) = self.lexer.member(&mut first)? {
            let is_usage = key.raw.len() <= 13 * 6
                && key.unescape().is_some_and(|name| name == "include_usage");
            let start = self.lexer.at();
            if !is_usage {
                self.lexer.value(2, &mut Blind)?;
                continue;
            }
            let param = "stream_options.include_usage";
            boolean(&mut self.lexer, param)?;
            let value = span(start, self.lexer.at());
            if self.head.include_usage.replace(value).is_some() {
                return Err(refuse(param, format!("'{param}' is given twice")));
            }
        }
        Ok(())
    }
}

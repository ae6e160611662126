//! The grammar of markers (PEP 508, "Environment Markers").

use std::str::FromStr;

use chantal_contract::limits::MARKER_DEPTH;

use super::{Comparison, Marker, MarkerError, Operator, Variable};

impl FromStr for Marker {
    type Err = MarkerError;
    fn from_str(text: &str) -> Result<Self, MarkerError> {
        let mut cursor = Cursor { rest: text };
        let marker = cursor.any(0)?;
        cursor.blank();
        if cursor.rest.is_empty() { Ok(marker) } else { Err(cursor.fault("`and`, `or` or the end")) }
    }
}

struct Cursor<'a> {
    rest: &'a str,
}

enum Operand<'a> {
    Variable(Variable),
    Text(&'a str),
}

impl<'a> Cursor<'a> {
    fn fault(&self, expected: &'static str) -> MarkerError {
        MarkerError::Syntax { expected, found: self.rest.chars().take(40).collect() }
    }

    fn blank(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Takes a word that no letter, digit or `_` follows.
    fn word(&mut self, word: &str) -> bool {
        self.blank();
        let Some(rest) = self.rest.strip_prefix(word) else { return false };
        if rest.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
            return false;
        }
        self.rest = rest;
        true
    }

    fn any(&mut self, depth: usize) -> Result<Marker, MarkerError> {
        let first = self.all(depth)?;
        let mut parts = vec![first];
        while self.word("or") {
            parts.push(self.all(depth)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Marker::Any(parts) })
    }

    fn all(&mut self, depth: usize) -> Result<Marker, MarkerError> {
        let mut parts = vec![self.one(depth)?];
        while self.word("and") {
            parts.push(self.one(depth)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Marker::All(parts) })
    }

    fn one(&mut self, depth: usize) -> Result<Marker, MarkerError> {
        self.blank();
        if self.take("(") {
            if depth >= MARKER_DEPTH {
                return Err(MarkerError::Depth);
            }
            let inner = self.any(depth + 1)?;
            self.blank();
            return if self.take(")") { Ok(inner) } else { Err(self.fault("`)`")) };
        }
        let left = self.operand()?;
        let operator = self.operator()?;
        let right = self.operand()?;
        let (variable, text, reversed) = match (left, right) {
            (Operand::Variable(variable), Operand::Text(text)) => (variable, text, false),
            (Operand::Text(text), Operand::Variable(variable)) => (variable, text, true),
            _ => return Err(self.fault("a comparison of a variable with a quoted text before this")),
        };
        Ok(Marker::Compare(Comparison { variable, operator, text: text.into(), reversed }))
    }

    fn operand(&mut self) -> Result<Operand<'a>, MarkerError> {
        self.blank();
        for quote in ['"', '\''] {
            if let Some(rest) = self.rest.strip_prefix(quote) {
                let (text, tail) = rest.split_once(quote).ok_or_else(|| self.fault("a closing quote"))?;
                self.rest = tail;
                return Ok(Operand::Text(text));
            }
        }
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        let end = self.rest.find(|c| !inner(c)).unwrap_or(self.rest.len());
        let (word, tail) = self.rest.split_at(end);
        let variable = Variable::named(word).ok_or_else(|| self.fault("a variable or a quoted text"))?;
        self.rest = tail;
        Ok(Operand::Variable(variable))
    }

    fn operator(&mut self) -> Result<Operator, MarkerError> {
        self.blank();
        for operator in [
            Operator::Identical,
            Operator::Equal,
            Operator::NotEqual,
            Operator::Compatible,
            Operator::LessOrEqual,
            Operator::GreaterOrEqual,
            Operator::Less,
            Operator::Greater,
        ] {
            if self.take(operator.text()) {
                return Ok(operator);
            }
        }
        if self.word("in") {
            return Ok(Operator::In);
        }
        if self.word("not") && self.word("in") {
            return Ok(Operator::NotIn);
        }
        Err(self.fault("a comparison"))
    }
}

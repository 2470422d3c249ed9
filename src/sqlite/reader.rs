//! A position in a statement's tokens, and the small steps that every clause reader is made of.

use super::token::{Token, TokenKind, tokenize};
use std::ops::Range;

/// Says that a text does not go on as SQLite's grammar does, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unreadable {
    /// Byte offset in the text.
    pub at: usize,
    /// What would have been read there.
    pub expected: &'static str,
}

/// Reads a statement's tokens from left to right.
#[derive(Debug)]
pub(super) struct Reader<'t> {
    /// The text that all ranges count in.
    pub text: &'t str,
    tokens: Vec<Token>,
    at: usize,
}

impl<'t> Reader<'t> {
    /// Starts at a text's first token.
    pub fn new(text: &'t str) -> Self {
        Self { text, tokens: tokenize(text).collect(), at: 0 }
    }

    /// Reads the tokens of a stretch of the same text.
    pub fn within(&self, range: &Range<usize>) -> Self {
        let inside = |token: &&Token| token.range.start >= range.start && token.range.end <= range.end;
        Self { text: self.text, tokens: self.tokens.iter().filter(inside).cloned().collect(), at: 0 }
    }

    /// Returns the token `ahead` of the present position.
    pub fn peek(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead)
    }

    /// Returns the tokens from the present position on.
    pub fn rest(&self) -> &[Token] {
        self.tokens.get(self.at..).unwrap_or_default()
    }

    /// Returns where the next token starts, or where the text ends.
    pub fn offset(&self) -> usize {
        self.peek(0).map_or(self.text.len(), |token| token.range.start)
    }

    /// Returns where the last token read ends.
    pub fn end(&self) -> usize {
        self.at.checked_sub(1).and_then(|last| self.tokens.get(last)).map_or(0, |token| token.range.end)
    }

    /// Builds the error for this position.
    pub fn unreadable(&self, expected: &'static str) -> Unreadable {
        Unreadable { at: self.offset(), expected }
    }

    /// Says whether the token `ahead` is a keyword.
    pub fn is_word(&self, ahead: usize, word: &str) -> bool {
        self.peek(ahead).is_some_and(|token| token.is_word(self.text, word))
    }

    /// Says whether the next token is a symbol.
    pub fn is_symbol(&self, symbol: &str) -> bool {
        self.peek(0).is_some_and(|token| token.is_symbol(self.text, symbol))
    }

    /// Steps over some keywords where all of them stand next, in this order.
    pub fn eat(&mut self, words: &[&str]) -> bool {
        let stands = words.iter().enumerate().all(|(ahead, word)| self.is_word(ahead, word));
        if stands {
            self.at += words.len();
        }
        stands
    }

    /// Steps over a symbol where it stands next.
    pub fn eat_symbol(&mut self, symbol: &str) -> bool {
        let stands = self.is_symbol(symbol);
        self.at += usize::from(stands);
        stands
    }

    /// Steps over keywords that have to stand next.
    pub fn expect(&mut self, words: &[&str], expected: &'static str) -> Result<(), Unreadable> {
        if self.eat(words) { Ok(()) } else { Err(self.unreadable(expected)) }
    }

    /// Steps over one token.
    pub fn step(&mut self) -> Option<Token> {
        let token = self.peek(0).cloned()?;
        self.at += 1;
        Some(token)
    }

    /// Reads a name, quoted in any of SQLite's ways or not at all.
    pub fn name(&mut self) -> Result<(String, Range<usize>), Unreadable> {
        match self.peek(0) {
            Some(token) if matches!(token.kind, TokenKind::Word | TokenKind::Quoted | TokenKind::String) => {
                let read = (token.name(self.text), token.range.clone());
                self.at += 1;
                Ok(read)
            }
            _ => Err(self.unreadable("a name")),
        }
    }

    /// Reads what stands in parentheses and returns where, without them.
    pub fn parenthesised(&mut self) -> Result<Range<usize>, Unreadable> {
        if !self.eat_symbol("(") {
            return Err(self.unreadable("an opening parenthesis"));
        }
        let start = self.offset();
        let mut depth = 1_usize;
        while let Some(token) = self.step() {
            if token.is_symbol(self.text, "(") {
                depth += 1;
            } else if token.is_symbol(self.text, ")") {
                depth -= 1;
            }
            if depth == 0 {
                return Ok(start.min(token.range.start)..token.range.start);
            }
        }
        Err(self.unreadable("a closing parenthesis"))
    }

    /// Cuts what is left at the commas outside parentheses.
    pub fn split_at_commas(&self) -> Vec<Self> {
        let mut parts = vec![Vec::new()];
        let mut depth = 0_i32;
        for token in self.rest() {
            depth += i32::from(token.is_symbol(self.text, "(")) - i32::from(token.is_symbol(self.text, ")"));
            match parts.last_mut() {
                Some(_) if depth == 0 && token.is_symbol(self.text, ",") => parts.push(Vec::new()),
                Some(part) => part.push(token.clone()),
                None => {}
            }
        }
        parts.into_iter().map(|tokens| Self { text: self.text, tokens, at: 0 }).collect()
    }

    /// Takes keywords off the end of what is left.
    pub fn eat_from_end(&mut self, words: &[&str]) -> bool {
        let rest = self.rest();
        let ends = rest.len() > words.len()
            && rest.iter().rev().zip(words.iter().rev()).all(|(token, word)| token.is_word(self.text, word));
        if ends {
            self.tokens.truncate(self.tokens.len() - words.len());
        }
        ends
    }

    /// Takes the last `count` tokens off.
    pub fn drop_from_end(&mut self, count: usize) {
        self.tokens.truncate(self.tokens.len().saturating_sub(count).max(self.at));
    }

    /// Takes off parentheses that enclose all that is left, as often as there are some.
    pub fn unwrap_parentheses(&mut self) {
        while let [first, .., last] = self.rest() {
            let encloses = first.is_symbol(self.text, "(") && last.is_symbol(self.text, ")") && {
                let mut depth = 0_i32;
                self.rest().iter().rev().skip(1).rev().all(|token| {
                    depth += i32::from(token.is_symbol(self.text, "(")) - i32::from(token.is_symbol(self.text, ")"));
                    depth > 0
                })
            };
            if !encloses {
                return;
            }
            self.at += 1;
            self.drop_from_end(1);
        }
    }

    /// Returns the stretch of text that what is left covers.
    pub fn range(&self) -> Range<usize> {
        match self.rest() {
            [] => self.text.len()..self.text.len(),
            [first, ..] => first.range.start..self.rest().last().unwrap_or(first).range.end,
        }
    }
}

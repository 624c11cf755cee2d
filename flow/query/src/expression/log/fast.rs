//! `FAST_REGEX_LOG_PARSER`: a pattern that is cut into pieces, each of which is searched once and takes as little as it can.
//!
//! A piece ends where a fixed part behind a group's bound ends, so that this part says how far it goes; one that ends in no fixed part
//! takes as much as it can, and the last one goes to the line's end. Nothing is tried again. So a pattern that would match by going back
//! does not; the page's examples A, B and C are the tests. (Of its first example it prints more than these rules give.)

use std::iter::Peekable;
use std::str::Chars;

use regex::Regex;

use super::Found;
use crate::expression::regex::{PATTERN_CHARS_MAX, compile};

/// The most groups of a pattern.
const GROUPS_MAX: usize = 100;

/// Sets of characters that have a name.
const NAMED: [(&str, &str); 13] = [
    ("Digit", "[0-9]"),
    ("Upper", "[A-Z]"),
    ("Lower", "[a-z]"),
    ("ASCII", r"[\x00-\x7F]"),
    ("Alpha", "[A-Za-z]"),
    ("Alnum", "[A-Za-z0-9]"),
    ("Punct", r"[!-/:-@\[-`{-~]"),
    ("Blank", r"[ \t]"),
    ("Space", r"[ \t\n\x0C\r\x0B]"),
    ("Cntrl", r"[\x00-\x1F\x7F]"),
    ("XDigit", "[0-9a-fA-F]"),
    ("Print", "[!-~]"),
    ("Graph", "[!-~]"),
];

/// A pattern, cut.
pub(super) struct Pieces {
    pieces: Vec<Piece>,
    groups: usize,
}

struct Piece {
    regex: Regex,
    /// By group of the regex the bound that it stands for: of the n-th group of the pattern 2n where it begins, 2n + 1 where it ends.
    bounds: Vec<usize>,
}

enum Item {
    /// So many characters.
    Fixed(String),
    /// What is repeated, and how often; or one of several that may be of any length.
    Variable(String, &'static str),
    Bound(usize),
}

impl Pieces {
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        if pattern.chars().count() > PATTERN_CHARS_MAX {
            return Err(format!("not supported yet: more than {PATTERN_CHARS_MAX} characters in a pattern"));
        }
        let mut parser = Parser { rest: pattern.chars().peekable(), items: Vec::new(), groups: 0 };
        parser.sequence(false)?;
        let Parser { items, groups, .. } = parser;
        let cut = cut(items);
        let last = cut.len() - 1;
        let pieces = cut.iter().enumerate().map(|(place, items)| piece(items, place == last));
        Ok(Self { pieces: pieces.collect::<Result<_, _>>()?, groups })
    }

    pub(super) fn groups(&self) -> usize {
        self.groups
    }

    /// What the groups hold; `None`: the line is not of the form.
    pub(super) fn parse(&self, line: &str) -> Option<Found> {
        let (mut at, mut bounds) = (0, vec![0; 2 * self.groups]);
        for piece in &self.pieces {
            let captures = piece.regex.captures(&line[at..])?;
            for (bound, found) in piece.bounds.iter().zip(captures.iter().skip(1)) {
                bounds[*bound] = at + found?.start();
            }
            at += captures.get(0)?.end();
        }
        let groups = bounds.chunks_exact(2).map(|bounds| line.get(bounds[0]..bounds[1]).map(str::to_owned));
        Some(groups.collect())
    }
}

/// The items of each piece: one begins at what varies behind a group's bound, unless nothing is before it.
fn cut(items: Vec<Item>) -> Vec<Vec<Item>> {
    let mut pieces: Vec<Vec<Item>> = vec![Vec::new()];
    let mut behind_bound = false;
    for item in items {
        let varies = matches!(item, Item::Variable(..));
        let piece = pieces.len() - 1;
        let has_content = pieces[piece].iter().any(|item| !matches!(item, Item::Bound(_)));
        if varies && behind_bound && has_content {
            pieces.push(Vec::new());
        }
        behind_bound = matches!(item, Item::Bound(_)) || (behind_bound && !varies);
        if let Some(piece) = pieces.last_mut() {
            piece.push(item);
        }
    }
    pieces
}

fn piece(items: &[Item], is_last: bool) -> Result<Piece, String> {
    let (mut pattern, mut bounds) = (String::from(r"\A"), Vec::new());
    let end = items.iter().rposition(|item| !matches!(item, Item::Bound(_)));
    for (place, item) in items.iter().enumerate() {
        match item {
            Item::Fixed(fixed) => pattern.push_str(fixed),
            Item::Variable(repeated, times) => {
                pattern.push_str(repeated);
                pattern.push_str(times);
                let takes_little = is_last || end != Some(place);
                pattern.push_str(if takes_little && !times.is_empty() { "?" } else { "" });
            }
            Item::Bound(bound) => {
                bounds.push(*bound);
                pattern.push_str("()");
            }
        }
    }
    pattern.push_str(if is_last { r"\z" } else { "" });
    Ok(Piece { regex: compile(&pattern).map_err(|error| error.to_string())?, bounds })
}

struct Parser<'p> {
    rest: Peekable<Chars<'p>>,
    items: Vec<Item>,
    groups: usize,
}

impl Parser<'_> {
    /// Items up to the end, or up to the `)` of the group that they are in.
    fn sequence(&mut self, in_group: bool) -> Result<(), String> {
        let (from, mut alternatives) = (self.items.len(), Vec::new());
        loop {
            match self.rest.next() {
                None if in_group => return Err("expected `)` behind a group".to_owned()),
                None => return Ok(()),
                Some(')') if in_group => {
                    if !alternatives.is_empty() {
                        alternatives.push(plain(self.items.drain(from..)));
                        self.items.push(Item::Variable(format!("(?:{})", alternatives.join("|")), ""));
                    }
                    return Ok(());
                }
                Some('|') if in_group => alternatives.push(plain(self.items.drain(from..))),
                Some('|') => return Err("not supported yet: `|` outside of a group".to_owned()),
                Some('(') if self.rest.next_if_eq(&')').is_some() => {}
                Some('(') if in_group => return Err("not supported yet: a group inside of a group".to_owned()),
                Some('(') => self.group()?,
                Some(')') => return Err("found `)` without a group".to_owned()),
                Some(character) => self.repeated(character)?,
            }
        }
    }

    fn group(&mut self) -> Result<(), String> {
        let number = self.groups;
        if number == GROUPS_MAX {
            return Err(format!("not supported yet: more than {GROUPS_MAX} groups"));
        }
        self.groups += 1;
        self.items.push(Item::Bound(2 * number));
        self.sequence(true)?;
        self.items.push(Item::Bound(2 * number + 1));
        match self.rest.peek() {
            Some('?' | '*' | '+' | '{') => Err("not supported yet: a group that is repeated".to_owned()),
            _ => Ok(()),
        }
    }

    /// What begins with a character, as often as is said behind it.
    fn repeated(&mut self, character: char) -> Result<(), String> {
        if character == '@' {
            self.items.push(Item::Variable("(?s:.)".to_owned(), "*"));
            return Ok(());
        }
        let one = self.one(character)?;
        let (least, most) = match self.rest.peek() {
            Some('?') => (0, Some(1)),
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('{') => self.counts()?,
            _ => {
                self.items.push(Item::Fixed(one));
                return Ok(());
            }
        };
        self.rest.next();
        if least > 0 {
            self.items.push(Item::Fixed(format!("(?:{one}){{{least}}}")));
        }
        match most {
            None => self.items.push(Item::Variable(format!("(?:{one})"), "*")),
            Some(most) if most > least => {
                self.items.push(Item::Variable(format!("(?:(?:{one}){{0,{}}}?)", most - least), ""));
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// `{n}`, `{n,}`, `{n,m}`, without the `}`.
    fn counts(&mut self) -> Result<(u32, Option<u32>), String> {
        self.rest.next();
        let mut inner = String::new();
        while let Some(character) = self.rest.next_if(|character| *character != '}') {
            inner.push(character);
        }
        let wrong = || format!("expected a number of repetitions, found `{{{inner}}}`");
        let number = |text: &str| text.parse::<u32>().map_err(|_| wrong());
        let counts = match inner.split_once(',') {
            None => (number(&inner)?, Some(number(&inner)?)),
            Some((least, "")) => (number(least)?, None),
            Some((least, most)) => (number(least)?, Some(number(most)?)),
        };
        if self.rest.peek().is_none() || counts.1.is_some_and(|most| most < counts.0) {
            Err(wrong())
        } else {
            Ok(counts)
        }
    }

    /// What stands for a fixed number of characters.
    fn one(&mut self, character: char) -> Result<String, String> {
        let escaped = |character: char| regex::escape(character.encode_utf8(&mut [0; 4]));
        match character {
            '.' => Ok("(?s:.)".to_owned()),
            '\\' => self.rest.next().map(escaped).ok_or_else(|| "expected a character behind `\\`".to_owned()),
            '"' => self.until('"').map(|text| regex::escape(&text)),
            '[' => self.set(),
            '<' => {
                let name = self.until('>')?;
                let known = NAMED.iter().find(|(known, _)| *known == name);
                let known = known.map(|(_, set)| (*set).to_owned());
                known.ok_or_else(|| format!("not supported yet: the pattern `<{name}>`"))
            }
            '#' | '&' | '~' => Err(format!("not supported yet: `{character}` in a fast pattern")),
            '?' | '*' | '+' | '{' => Err(format!("found `{character}` with nothing to repeat")),
            other => Ok(escaped(other)),
        }
    }

    fn until(&mut self, end: char) -> Result<String, String> {
        let mut text = String::new();
        loop {
            match self.rest.next() {
                Some(character) if character == end => return Ok(text),
                Some(character) => text.push(character),
                None => return Err(format!("expected `{end}` behind `{text}`")),
            }
        }
    }

    /// `a-z]` or `^a-z]` behind the `[`.
    fn set(&mut self) -> Result<String, String> {
        let mut set = String::from("[");
        set.extend(self.rest.next_if_eq(&'^'));
        let empty = set.len();
        loop {
            match self.rest.next() {
                Some(']') if set.len() > empty => break,
                Some('-') if set.len() > empty && self.rest.peek().is_some_and(|next| *next != ']') => set.push('-'),
                Some('\\') => set.push_str(&self.one('\\')?),
                Some(character) if character.is_alphanumeric() => set.push(character),
                Some(character) if character.is_ascii() && !character.is_control() => set.extend(['\\', character]),
                Some(character) => set.push(character),
                None => return Err("expected `]` behind a set of characters".to_owned()),
            }
        }
        set.push(']');
        Ok(set)
    }
}

/// Items as one pattern.
fn plain(items: impl Iterator<Item = Item>) -> String {
    let pattern = |item: Item| match item {
        Item::Fixed(fixed) => fixed,
        Item::Variable(repeated, times) => format!("{repeated}{times}"),
        Item::Bound(_) => String::new(),
    };
    items.map(pattern).collect()
}

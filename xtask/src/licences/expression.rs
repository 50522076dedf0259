//! SPDX licence expressions (SPDX 2.3, annex D): is one of the choices allowed?

/// Whether the expression can be met with licences that `allowed` says yes to.
///
/// `A/B`, an old way of writing a choice, is read as `A OR B`. `A WITH B` is asked for as one name.
///
/// # Errors
/// What in the text is not an expression.
pub(super) fn satisfied(text: &str, allowed: &dyn Fn(&str) -> bool) -> Result<bool, String> {
    let spaced = text.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Reader { words: &words, at: 0, allowed };
    let answer = reader.any_of()?;
    match reader.peek() {
        None => Ok(answer),
        Some(word) => Err(format!("`{word}` is not expected here")),
    }
}

/// OR binds weaker than AND, and AND weaker than WITH.
struct Reader<'a> {
    words: &'a [&'a str],
    at: usize,
    allowed: &'a dyn Fn(&str) -> bool,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.at).copied()
    }

    fn took(&mut self, word: &str) -> bool {
        let hit = self.peek().is_some_and(|next| next.eq_ignore_ascii_case(word));
        if hit {
            self.at += 1;
        }
        hit
    }

    fn any_of(&mut self) -> Result<bool, String> {
        let mut answer = self.all_of()?;
        while self.took("OR") {
            answer |= self.all_of()?;
        }
        Ok(answer)
    }

    fn all_of(&mut self) -> Result<bool, String> {
        let mut answer = self.one()?;
        while self.took("AND") {
            answer &= self.one()?;
        }
        Ok(answer)
    }

    fn one(&mut self) -> Result<bool, String> {
        if self.took("(") {
            let answer = self.any_of()?;
            return if self.took(")") { Ok(answer) } else { Err("a bracket is not closed".to_owned()) };
        }
        let name = self.name()?;
        if self.took("WITH") {
            let exception = self.name()?;
            return Ok((self.allowed)(&format!("{name} WITH {exception}")));
        }
        Ok((self.allowed)(name))
    }

    fn name(&mut self) -> Result<&'a str, String> {
        let word = self.peek().ok_or("it ends where a licence should stand")?;
        if ["AND", "OR", "WITH", "(", ")"].iter().any(|key| word.eq_ignore_ascii_case(key)) {
            return Err(format!("`{word}` stands where a licence should"));
        }
        self.at += 1;
        Ok(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<bool, String> {
        satisfied(text, &|name| {
            ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "ISC"].contains(&name)
        })
    }

    #[test]
    fn one_allowed_choice_is_enough_and_every_duty_must_be_allowed() {
        for good in [
            "MIT",
            "MIT OR GPL-3.0-only",
            "GPL-2.0/MIT",
            "Apache-2.0 AND ISC",
            "(MIT OR GPL-3.0-only) AND ISC",
            "Apache-2.0 WITH LLVM-exception OR MIT",
            "GPL-3.0-only AND ISC OR MIT",
        ] {
            assert_eq!(check(good), Ok(true), "{good}");
        }
        for bad in ["GPL-3.0-only", "MIT AND GPL-3.0-only", "(GPL-3.0-only OR MPL-2.0) AND MIT", "ISC WITH x"]
        {
            assert_eq!(check(bad), Ok(false), "{bad}");
        }
    }

    #[test]
    fn broken_expressions_are_errors() {
        for broken in ["", "MIT OR", "OR MIT", "(MIT", "MIT)", "MIT ISC", "MIT WITH"] {
            assert!(check(broken).is_err(), "{broken}");
        }
    }
}

//! Letters that nobody sees.
//!
//! Knows which characters have no glyph of their own. Refuses to know where text is shown.

/// Whether it leaves no mark of its own: a name that holds one looks like another name. Unicode 16, `Default_Ignorable_Code_Point` of
/// DerivedCoreProperties.txt.
#[must_use]
pub const fn is_invisible(letter: char) -> bool {
    matches!(
        letter,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Whether a terminal or a log would obey it, or show the text around it otherwise than it is.
#[must_use]
pub fn is_obeyed(letter: char) -> bool {
    letter.is_control() || is_invisible(letter) || matches!(letter, '\u{2028}' | '\u{2029}')
}

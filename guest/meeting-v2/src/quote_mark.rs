//! Quote marks of all languages.

pub(crate) fn is_quote_mark(c: char) -> bool {
    matches!(
        c,
        '"' | '\''
            | '`'
            | '´'
            | '«'
            | '»'
            | '‹'
            | '›'
            | '„'
            | '“'
            | '”'
            | '‟'
            | '‘'
            | '’'
            | '‚'
            | '‛'
            | '″'
            | '′'
    )
}

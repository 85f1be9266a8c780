//! Reads the head of a GGUF file and judges it, before llama.cpp maps the rest.
//!
//! Knows the file format (versions 2 and 3, little endian) and which lies in it would make a C program read beyond the
//! file. Refuses to know tensors' contents and what an architecture needs. Invariant: no number from the file is
//! trusted before it was compared with what is left of the file, so a judgement costs memory in proportion to the
//! names in the file and never more than the file's size in time.

use reader::Reader;
use std::collections::{HashMap, HashSet};
use std::fs::OpenOptions;
use std::io::{BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use tensor_type::block_of;

mod reader;
mod tensor_type;

/// llama.cpp's `GGML_MAX_NAME`, less the closing zero.
const NAME_BYTES: u64 = 63;
/// Keys are short paths; llama.cpp's longest is under 100 bytes.
const KEY_BYTES: u64 = 1024;
/// A string that is kept, which a chat template is. The longest in llama.cpp's collection has 40 kB.
const KEPT_STRING_BYTES: u64 = 1 << 20;
/// llama.cpp's `GGUF_DEFAULT_ALIGNMENT`.
const DEFAULT_ALIGNMENT: u64 = 32;
/// More layers than any model has; a larger number only makes llama.cpp allocate.
const BLOCKS: u64 = 4096;

/// Why a file is not a model that can be served.
#[derive(Debug, thiserror::Error)]
pub enum GgufError {
    /// The file could not be opened or read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The file is not what it must be; the text says where.
    #[error("{0}")]
    Invalid(String),
}

/// Shorthand for the judgement that a file is not sound.
pub(crate) fn invalid<T>(problem: impl Into<String>) -> Result<T, GgufError> {
    Err(GgufError::Invalid(problem.into()))
}

/// One value of the file's metadata; arrays are only counted.
#[derive(Debug, Clone, PartialEq)]
pub enum MetadataValue {
    /// Any integer.
    Integer(i128),
    /// Any floating point number.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// Text of up to a mebibyte. What is not UTF-8 in it is replaced, as llama.cpp does not mind either.
    Text(String),
    /// Longer text (some files carry a whole tokenizer) is skipped; this is its size in bytes.
    LongText(u64),
    /// An array of so many values.
    Array(u64),
    /// An array of texts, of which the longest has so many bytes.
    Texts(u64),
}

/// What a sound file's head tells.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The file's size in bytes.
    pub bytes: u64,
    metadata: HashMap<String, MetadataValue>,
}

impl Summary {
    /// Judges the file at `path`.
    ///
    /// # Errors
    /// [`GgufError::Io`] if it cannot be opened or is no regular file, [`GgufError::Invalid`] if it is not sound.
    pub fn of_file(path: &Path) -> Result<Self, GgufError> {
        // A pipe would hold whoever opens it until somebody writes into it, and with it every other model.
        let file = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path)?;
        let status = file.metadata()?;
        if !status.is_file() {
            return invalid("it is not a regular file");
        }
        Self::read(BufReader::with_capacity(1 << 16, file), status.len())
    }

    /// Judges `bytes` bytes of `source`.
    ///
    /// # Errors
    /// As [`Summary::of_file`].
    pub fn read(source: impl Read, bytes: u64) -> Result<Self, GgufError> {
        let mut reader = Reader::new(source, bytes);
        let (tensors, entries) = read_counts(&mut reader)?;
        let metadata = read_metadata(&mut reader, entries)?;
        let summary = Self { bytes, metadata };
        let alignment = summary.alignment()?;
        let end = read_tensors(&mut reader, tensors, alignment)?;
        let data = reader.position().next_multiple_of(alignment);
        if data.checked_add(end).is_none_or(|needed| needed > bytes) {
            return invalid(format!(
                "it is cut short: its tensors need {} bytes, the file has {bytes} (an unfinished download?)",
                data.saturating_add(end)
            ));
        }
        summary.check_model()?;
        Ok(summary)
    }

    /// A text of the metadata.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.metadata.get(key) {
            Some(MetadataValue::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A number of the metadata that is not negative.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<u64> {
        match self.metadata.get(key) {
            Some(MetadataValue::Integer(number)) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// The architecture's name: `llama`, `qwen3`.
    #[must_use]
    pub fn architecture(&self) -> &str {
        self.text("general.architecture").unwrap_or_default()
    }

    /// How many tokens the model was trained to look back on.
    #[must_use]
    pub fn context_length(&self) -> Option<u64> {
        self.number(&format!("{}.context_length", self.architecture()))
    }

    /// The bytes of the longest text that is one token; at least so, where spaces and bytes are written in other letters.
    #[must_use]
    pub fn longest_token(&self) -> Option<u64> {
        match self.metadata.get("tokenizer.ggml.tokens") {
            Some(MetadataValue::Texts(longest)) => Some(*longest),
            _ => None,
        }
    }

    /// The chat template; the one for tools where tools are offered and the model has one.
    #[must_use]
    pub fn chat_template(&self, tools: bool) -> Option<&str> {
        let special = tools.then(|| self.text("tokenizer.chat_template.tool_use")).flatten();
        special.or_else(|| self.text("tokenizer.chat_template"))
    }

    /// Whether the file can hold a conversation: not an encoder, one for embeddings or scores, a projector, an adapter or a bare
    /// vocabulary.
    #[must_use]
    pub fn generates_text(&self) -> bool {
        const OTHERS: [&str; 4] = ["clip", "t5", "wavtokenizer", "mmproj"];
        let architecture = self.architecture();
        let kind = self.text("general.type").unwrap_or("model");
        kind == "model"
            // None stands for no pooling.
            && matches!(self.pooling(), None | Some(0))
            && !architecture.contains("bert")
            && !OTHERS.iter().any(|name| architecture.starts_with(name))
    }

    /// Whether the file makes vectors of texts, and none else: it says how to pool those of a text's tokens into one (llama.cpp's
    /// `llama_pooling_type`: mean, the first token's, the last one's). Rerankers, which say how to score, do not.
    #[must_use]
    pub fn embeds(&self) -> bool {
        matches!(self.pooling(), Some(1..=3))
    }

    /// How many numbers such a vector has.
    #[must_use]
    pub fn dimensions(&self) -> Option<u64> {
        let number = |name: &str| self.number(&format!("{}.{name}", self.architecture()));
        number("embedding_length_out").or_else(|| number("embedding_length"))
    }

    fn pooling(&self) -> Option<u64> {
        self.number(&format!("{}.pooling_type", self.architecture()))
    }

    fn alignment(&self) -> Result<u64, GgufError> {
        match self.metadata.get("general.alignment") {
            None => Ok(DEFAULT_ALIGNMENT),
            Some(MetadataValue::Integer(number)) => match u64::try_from(*number) {
                Ok(alignment) if alignment.is_power_of_two() && alignment <= 1 << 20 => Ok(alignment),
                _ => {
                    invalid(format!("general.alignment is {number}, which is not a power of two up to 1 MiB"))
                }
            },
            Some(_) => invalid("general.alignment is not a number"),
        }
    }

    /// What every model has, and what llama.cpp multiplies and divides by before it checks.
    fn check_model(&self) -> Result<(), GgufError> {
        let architecture = self.architecture();
        if architecture.is_empty() {
            return invalid("it names no general.architecture");
        }
        if self.text("general.type").is_some_and(|kind| kind != "model") {
            return Ok(());
        }
        for (name, most) in
            [("block_count", BLOCKS), ("embedding_length", 1 << 24), ("context_length", 1 << 31)]
        {
            let key = format!("{architecture}.{name}");
            match self.metadata.get(&key) {
                None | Some(MetadataValue::Array(_)) => {}
                Some(MetadataValue::Integer(n)) if (1..=i128::from(most)).contains(n) => {}
                Some(other) => {
                    return invalid(format!("{key} is {other:?}, which is not between 1 and {most}"));
                }
            }
        }
        Ok(())
    }
}

fn read_counts(reader: &mut Reader<impl Read>) -> Result<(u64, u64), GgufError> {
    if reader.array::<4>().ok() != Some(*b"GGUF") {
        return invalid("it is not a GGUF file (the first four bytes are not \"GGUF\")");
    }
    match reader.u32()? {
        2 | 3 => {}
        1 => return invalid("it is a GGUF file of version 1, which is too old; convert it anew"),
        version if version.swap_bytes() <= 3 => {
            return invalid("it is a big-endian GGUF file; convert it anew");
        }
        version => {
            return invalid(format!("it is a GGUF file of version {version}; this engine reads 2 and 3"));
        }
    }
    let (tensors, entries) = (reader.u64()?, reader.u64()?);
    // A tensor's entry has at least 24 bytes (name length, dimensions, type, offset), a metadata entry 13.
    if tensors.checked_mul(24).is_none_or(|n| n > reader.left()) {
        return invalid(format!("it claims {tensors} tensors, more than fit into the file"));
    }
    if entries.checked_mul(13).is_none_or(|n| n > reader.left()) {
        return invalid(format!("it claims {entries} metadata entries, more than fit into the file"));
    }
    Ok((tensors, entries))
}

fn read_metadata(
    reader: &mut Reader<impl Read>,
    entries: u64,
) -> Result<HashMap<String, MetadataValue>, GgufError> {
    let mut metadata = HashMap::new();
    for _ in 0..entries {
        let key = reader.string("a metadata key", KEY_BYTES)?;
        if key.is_empty() {
            return invalid("a metadata key is empty");
        }
        let kind = reader.u32()?;
        let value = read_value(reader, &key, kind)?;
        if metadata.insert(key.clone(), value).is_some() {
            return invalid(format!("the metadata key {key:?} comes twice"));
        }
    }
    Ok(metadata)
}

fn read_value(reader: &mut Reader<impl Read>, key: &str, kind: u32) -> Result<MetadataValue, GgufError> {
    use MetadataValue::{Bool, Float, Integer};
    Ok(match kind {
        0 => Integer(u8::from_le_bytes(reader.array()?).into()),
        1 => Integer(i8::from_le_bytes(reader.array()?).into()),
        2 => Integer(u16::from_le_bytes(reader.array()?).into()),
        3 => Integer(i16::from_le_bytes(reader.array()?).into()),
        4 => Integer(u32::from_le_bytes(reader.array()?).into()),
        5 => Integer(i32::from_le_bytes(reader.array()?).into()),
        6 => Float(f32::from_le_bytes(reader.array()?).into()),
        7 => match reader.array()? {
            [0] => Bool(false),
            [1] => Bool(true),
            [other] => return invalid(format!("{key} is neither true nor false but {other}")),
        },
        8 => read_text(reader, key)?,
        9 => skip_array(reader, key)?,
        10 => Integer(u64::from_le_bytes(reader.array()?).into()),
        11 => Integer(i64::from_le_bytes(reader.array()?).into()),
        12 => Float(f64::from_le_bytes(reader.array()?)),
        other => return invalid(format!("{key} has the unknown type {other}")),
    })
}

fn read_text(reader: &mut Reader<impl Read>, key: &str) -> Result<MetadataValue, GgufError> {
    let bytes = reader.u64()?;
    if bytes > KEPT_STRING_BYTES {
        reader.skip(bytes, key)?;
        return Ok(MetadataValue::LongText(bytes));
    }
    let text = reader.bytes(bytes, key)?;
    Ok(MetadataValue::Text(String::from_utf8_lossy(&text).into_owned()))
}

fn skip_array(reader: &mut Reader<impl Read>, key: &str) -> Result<MetadataValue, GgufError> {
    let (kind, length) = (reader.u32()?, reader.u64()?);
    let size = match kind {
        0 | 1 | 7 => 1,
        2 | 3 => 2,
        4..=6 => 4,
        10..=12 => 8,
        8 => {
            let mut longest = 0;
            for _ in 0..length {
                let bytes = reader.u64()?;
                reader.skip(bytes, key)?;
                longest = longest.max(bytes);
            }
            return Ok(MetadataValue::Texts(longest));
        }
        other => return invalid(format!("the array {key} holds values of the unknown type {other}")),
    };
    match length.checked_mul(size) {
        Some(bytes) => reader.skip(bytes, key)?,
        None => {
            return invalid(format!("the array {key} claims {length} values, more than fit into the file"));
        }
    }
    Ok(MetadataValue::Array(length))
}

/// Returns how many bytes of tensor data the file must hold.
fn read_tensors(reader: &mut Reader<impl Read>, tensors: u64, alignment: u64) -> Result<u64, GgufError> {
    let mut names = HashSet::new();
    let mut end = 0_u64;
    for _ in 0..tensors {
        let name = reader.string("a tensor's name", NAME_BYTES)?;
        let bytes = read_shape(reader, &name)?;
        let offset = reader.u64()?;
        // llama.cpp wants the tensors back to back, in the order of their entries; so none can overlap.
        if offset != end {
            return invalid(format!("the tensor {name:?} starts at {offset} instead of {end}"));
        }
        end = match offset.checked_add(bytes).and_then(|end| end.checked_next_multiple_of(alignment)) {
            Some(end) => end,
            None => return invalid(format!("the tensor {name:?} is larger than any file")),
        };
        if !names.insert(name.clone()) {
            return invalid(format!("the tensor {name:?} comes twice"));
        }
    }
    // Writers pad after the last tensor too, but llama.cpp does not insist.
    Ok(end.saturating_sub(alignment.saturating_sub(1)))
}

/// Reads dimensions and type; returns the tensor's size in bytes.
fn read_shape(reader: &mut Reader<impl Read>, name: &str) -> Result<u64, GgufError> {
    let dimensions = reader.u32()?;
    if !(1..=4).contains(&dimensions) {
        return invalid(format!("the tensor {name:?} has {dimensions} dimensions instead of one to four"));
    }
    let mut elements = 1_u64;
    let mut row = 0;
    for index in 0..dimensions {
        let size = reader.u64()?;
        if index == 0 {
            row = size;
        }
        elements = match elements.checked_mul(size).filter(|n| size > 0 && i64::try_from(*n).is_ok()) {
            Some(elements) => elements,
            None => return invalid(format!("the tensor {name:?} has a dimension of {size}")),
        };
    }
    let kind = reader.u32()?;
    let Some((block, bytes)) = block_of(kind) else {
        return invalid(format!("the tensor {name:?} has the type {kind}, which this engine does not know"));
    };
    if row % block != 0 {
        return invalid(format!("the tensor {name:?} has rows of {row} values, not a multiple of {block}"));
    }
    (elements / block)
        .checked_mul(bytes)
        .map_or_else(|| invalid(format!("the tensor {name:?} is too large")), Ok)
}

#[cfg(test)]
mod tests;

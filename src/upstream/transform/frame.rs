//! What passes between pollcast and a worker: texts, each after its length as four bytes, the
//! lowest first.

use std::io::{self, Read, Write};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The first byte of a worker's answer: the rest is a document.
pub(super) const DOCUMENT: u8 = 0;

/// The first byte of a worker's answer: the rest says what went wrong.
pub(super) const FAILURE: u8 = 1;

/// As pollcast writes one.
pub(super) async fn send(to: &mut (impl AsyncWrite + Unpin), text: &[u8]) -> io::Result<()> {
    to.write_all(&length(text)?).await?;
    to.write_all(text).await?;
    to.flush().await
}

/// As pollcast reads one, of at most `limit` bytes.
pub(super) async fn receive(
    from: &mut (impl AsyncRead + Unpin),
    limit: usize,
) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length).await?;
    let length = u32::from_le_bytes(length) as usize;
    if length > limit {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut text = vec![0; length];
    from.read_exact(&mut text).await?;
    Ok(text)
}

/// As a worker writes one.
pub(super) fn write(to: &mut impl Write, text: &[u8]) -> io::Result<()> {
    to.write_all(&length(text)?)?;
    to.write_all(text)?;
    to.flush()
}

/// As a worker reads one.
pub(super) fn read(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut text = vec![0; u32::from_le_bytes(length) as usize];
    from.read_exact(&mut text)?;
    Ok(text)
}

fn length(text: &[u8]) -> io::Result<[u8; 4]> {
    let length = u32::try_from(text.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    Ok(length.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_sides_understand_each_other() {
        let mut wire = Vec::new();
        send(&mut wire, b"").await.unwrap();
        send(&mut wire, &[7; 70_000]).await.unwrap();
        let mut reader = &wire[..];
        assert_eq!(read(&mut reader).unwrap(), b"");
        assert_eq!(read(&mut reader).unwrap(), [7; 70_000]);
        assert!(read(&mut reader).is_err());

        let mut wire = Vec::new();
        write(&mut wire, b"{}").unwrap();
        assert_eq!(receive(&mut &wire[..], 2).await.unwrap(), b"{}");
        assert!(receive(&mut &wire[..], 1).await.is_err());
    }
}

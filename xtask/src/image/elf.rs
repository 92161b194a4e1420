//! The one question that an image asks of a program: does it need a dynamic linker?

/// Type of the program header that names the dynamic linker (`PT_INTERP`, ELF-64 specification).
const INTERPRETER: u32 = 3;

/// Whether a little-endian ELF-64 file names a dynamic linker; nothing for other files.
pub(super) fn names_interpreter(file: &[u8]) -> Option<bool> {
    if file.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let table = usize::try_from(u64::from_le_bytes(field(file, 32)?)).ok()?;
    let size = usize::from(u16::from_le_bytes(field(file, 54)?));
    let count = usize::from(u16::from_le_bytes(field(file, 56)?));
    for index in 0..count {
        let kind = u32::from_le_bytes(field(file, table.checked_add(index * size)?)?);
        if kind == INTERPRETER {
            return Some(true);
        }
    }
    Some(false)
}

fn field<const N: usize>(file: &[u8], at: usize) -> Option<[u8; N]> {
    file.get(at..at.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::names_interpreter;

    /// A header with one program header of the given type behind it.
    fn elf(kind: u32) -> Vec<u8> {
        let mut file = vec![0_u8; 64];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[32] = 64;
        file[54] = 56;
        file[56] = 1;
        file.extend(kind.to_le_bytes());
        file
    }

    #[test]
    fn tells_dynamic_from_static_and_from_other_files() {
        assert_eq!(names_interpreter(&elf(3)), Some(true));
        assert_eq!(names_interpreter(&elf(1)), Some(false));
        assert_eq!(names_interpreter(&elf(1)[..60]), None);
        assert_eq!(names_interpreter(b"#!/bin/sh"), None);
    }
}

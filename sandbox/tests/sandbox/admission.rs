//! Admission: what is refused and in which words, the child that compiles, and the cache that trusts its own key alone.

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use realm_sandbox::{
    Admission, BreachKind, Cache, Capability, CompilerLimits, Grants, LoadError, Program, Terms,
    admission::{CompileError, Refusal, inspect},
    limits::{DEFAULT_WASM_BYTES, MAX_WASM_BYTES},
};

use crate::{
    guests::{Guest, component, plain},
    support::{Tenant, admission, ask, compiler, engine, terms, without_grants},
};

fn refused(text: &str) -> String {
    inspect(&wat::parse_str(text).unwrap(), DEFAULT_WASM_BYTES).unwrap_err().to_string()
}

#[test]
fn what_programs_may_not_use_is_refused_by_name() {
    let cases = [
        ("(component (core module (memory i64 1)))", "64-bit memory"),
        ("(component (core module (memory 1 1 shared)))", "shared memory"),
        (r#"(component (core module (import "a" "b" (memory 1 1 shared))))"#, "shared memory"),
        ("(component (core module (memory 1) (memory 1)))", "multi"),
        ("(component (core module (tag)))", "exceptions"),
        ("(component (core module (type (struct))))", "gc"),
        (
            "(component (core module (memory 1) (func (drop (i32.atomic.load (i32.const 0))))))",
            "threads",
        ),
        ("(component (core module (memory 1601)))", "memory"),
        ("(component (core module (memory 65536)))", "memory"),
        ("(component (core module (table 1000000 funcref)))", "table"),
        ("(module)", "component"),
    ];
    for (text, reason) in cases {
        let message = refused(text);
        assert!(message.contains(reason), "{text}: {message}");
    }
    assert!(matches!(inspect(b"\0asm", DEFAULT_WASM_BYTES), Err(Refusal::Malformed(_))));
    assert!(matches!(inspect(b"", DEFAULT_WASM_BYTES), Err(Refusal::Malformed(_))));
}

#[test]
fn bombs_of_size_and_number_are_refused_before_anything_compiles() {
    let body = "(drop (i32.const 1000000))".repeat(20_000);
    let exports: String = (0..20_000).map(|n| format!("(export \"{n}\" (func 0))")).collect();
    let cases = [
        (format!("(component (core module (func {body})))"), "a function of bytes"),
        (format!("(component (core module {}))", "(func)".repeat(10_001)), "functions"),
        (format!("(component {})", "(component)".repeat(100)), "nested components"),
        (format!("(component (core module (func) {exports}))"), "core exports"),
        (
            format!(
                "(component {})",
                (0..300).map(|n| format!("(import \"a{n}\" (func))")).collect::<String>()
            ),
            "imports",
        ),
    ];
    for (text, reason) in cases {
        let message = refused(&text);
        assert!(message.contains(reason), "{message}");
    }
    let large = vec![0; DEFAULT_WASM_BYTES + 1];
    assert!(matches!(inspect(&large, DEFAULT_WASM_BYTES), Err(Refusal::TooLarge { .. })));
    let (admission, _folder) = admission();
    let error = admission.admit(&vec![0; MAX_WASM_BYTES + 1]).unwrap_err();
    assert!(matches!(error, Refusal::TooLarge { .. }));
}

/// A JavaScript program is made of two dozen components and eleven core modules, of which each has an instance.
#[test]
fn a_program_of_as_many_parts_as_javascript_has_is_admitted() {
    let program = |modules: usize| {
        let parts = "(component)".repeat(24) + &"(core module (func))".repeat(modules);
        let instances = (0..modules).map(|n| format!("(core instance (instantiate {n}))"));
        wat::parse_str(format!("(component {parts} {})", instances.collect::<String>())).unwrap()
    };
    let (admission, _folder) = admission();
    admission.admit(&program(11)).unwrap();
    let error = admission.admit(&program(17)).unwrap_err();
    assert!(error.to_string().contains("core module instances"), "{error}");
}

/// wasmtime joins the parts of a component with modules that name two memories; a guest's own module may not.
#[test]
fn parts_with_memories_of_their_own_may_be_joined_and_no_module_may_have_two() {
    let libc = r#"(memory (export "memory") 1)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 8))"#;
    let program = format!(
        r#"(component
          (component $callee
            (core module $m {libc} (func (export "f") (param i32 i32)))
            (core instance $i (instantiate $m))
            (func (export "f") (param "text" string)
              (canon lift (core func $i "f") (memory $i "memory") (realloc (func $i "realloc")))))
          (component $caller
            (import "f" (func $f (param "text" string)))
            (core module $libc {libc})
            (core instance $libc (instantiate $libc))
            (core func $g (canon lower (func $f) (memory $libc "memory") (realloc (func $libc "realloc"))))
            (core module $m (import "" "f" (func (param i32 i32)))
              (func (export "g") (call 0 (i32.const 0) (i32.const 1))))
            (core instance $m (instantiate $m (with "" (instance (export "f" (func $g))))))
            (func (export "g") (canon lift (core func $m "g"))))
          (instance $callee (instantiate $callee))
          (instance $caller (instantiate $caller (with "f" (func $callee "f"))))
          (export "g" (func $caller "g")))"#
    );
    let (admission, _folder) = admission();
    admission.admit(&wat::parse_str(program).unwrap()).unwrap();
    let message = refused("(component (core module (memory 1) (memory 1)))");
    assert!(message.contains("multiple memories"), "{message}");
}

#[test]
fn a_report_lists_what_a_program_imports_and_exports() {
    let report = inspect(&Guest::filter().build(), DEFAULT_WASM_BYTES).unwrap();
    for hook in ["request-hook", "token-hook", "response-hook"] {
        assert!(report.exports.contains(&format!("realm:tenant/{hook}@0.1.0")), "{report:?}");
    }
    let log = r#"(import "realm:tenant/log@0.1.0" "emit" (func $log (param i32 i32 i32)))"#;
    let guest = Guest::request(&plain()).importing(log);
    let report = inspect(&guest.build(), DEFAULT_WASM_BYTES).unwrap();
    assert!(report.imports.contains(&Capability::Log.interface()), "{report:?}");
    assert_eq!(report.memories, 1);
}

#[test]
fn what_is_not_granted_is_refused_by_name() {
    let log = r#"(import "realm:tenant/log@0.1.0" "emit" (func $log (param i32 i32 i32)))"#;
    let guest = Guest::request(&plain()).importing(log);
    let error = Tenant::new().load(&guest, without_grants(terms())).unwrap_err();
    assert!(matches!(error, LoadError::NotGranted(Capability::Log)), "{error}");
    let only_log = Terms { grants: Grants::NONE.with(Capability::Log), ..terms() };
    assert!(ask(&Tenant::new().load(&guest, only_log).unwrap()).unwrap().is_ok());
}

#[test]
fn wasi_does_not_exist() {
    let wasm = wat::parse_str(
        r#"(component
             (import "wasi:filesystem/preopens@0.2.0" (instance
               (export "get-directories" (func (result u32))))))"#,
    )
    .unwrap();
    let (admission, _folder) = admission();
    let admitted = admission.admit(&wasm).unwrap();
    let error =
        Program::new(&engine(), &admitted.artifact, terms(), Tenant::new().host()).unwrap_err();
    assert!(error.to_string().contains("wasi:filesystem/preopens@0.2.0"), "{error}");
}

#[test]
fn a_program_without_a_hook_or_with_another_type_is_refused() {
    let (admission, _folder) = admission();
    let load = |text: &str| {
        let admitted = admission.admit(&wat::parse_str(text).unwrap()).unwrap();
        Program::new(&engine(), &admitted.artifact, terms(), Tenant::new().host()).unwrap_err()
    };
    assert!(matches!(load("(component)"), LoadError::NoHook));
    let other = r#"(component
        (core module $m (func (export "f") (result i32) (i32.const 1)))
        (core instance $i (instantiate $m))
        (func $f (result u32) (canon lift (core func $i "f")))
        (instance $hook (export "on-request" (func $f)))
        (export "realm:tenant/request-hook@0.1.0" (instance $hook)))"#;
    assert!(matches!(load(other), LoadError::Mismatch(_)));
}

/// Many functions, each within the bound, in a process whose limits are too small for them.
fn heavy() -> Vec<u8> {
    let body =
        "(local.set 0 (i64.mul (local.get 0) (i64.add (local.get 0) (i64.const 3))))".repeat(3000);
    let functions = format!("(func (param i64) {body})").repeat(24);
    component("requests", &format!(
        "(module (memory (export \"memory\") 1)
           (func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32) (unreachable))
           (func (export \"realm:tenant/request-hook@0.1.0#on-request\")
             (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i64 i32 i32 i32) (result i32) (i32.const 1024))
           {functions})"
    ))
}

fn compile_under(limits: CompilerLimits) -> Result<(), Refusal> {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let admission = Admission::new(engine(), compiler(limits), cache, MAX_WASM_BYTES);
    let outcome = admission.admit(&heavy()).map(drop);
    let left: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(outcome.is_ok() || left == ["key"], "a failed compilation leaves {left:?}");
    outcome
}

#[test]
fn a_compiler_that_takes_too_long_or_too_much_is_ended() {
    let generous = CompilerLimits::default();
    let slow = compile_under(CompilerLimits { wall: Duration::from_millis(1), ..generous });
    assert!(matches!(slow, Err(Refusal::Compile(CompileError::TooSlow(_)))), "{slow:?}");
    let hungry = compile_under(CompilerLimits { memory_mib: 16, ..generous });
    assert!(matches!(hungry, Err(Refusal::Compile(CompileError::Ended(..)))), "{hungry:?}");
    let busy = compile_under(CompilerLimits { cpu_seconds: 0, ..generous });
    assert!(matches!(busy, Err(Refusal::Compile(CompileError::Ended(..)))), "{busy:?}");
}

#[test]
fn a_second_admission_comes_from_the_cache() {
    let (admission, folder) = admission();
    let wasm = Guest::request(&plain()).build();
    assert!(!admission.admit(&wasm).unwrap().cached);
    assert!(admission.admit(&wasm).unwrap().cached);
    // Another process that opens the folder finds the same key.
    let cache = Cache::open(folder.path()).unwrap();
    let other =
        Admission::new(engine(), compiler(CompilerLimits::default()), cache, DEFAULT_WASM_BYTES);
    assert!(other.admit(&wasm).unwrap().cached);
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
    }
}

#[test]
fn a_changed_file_is_refused_and_compiled_anew() {
    let (admission, folder) = admission();
    let wasm = Guest::request(&plain()).build();
    admission.admit(&wasm).unwrap();
    let path = Cache::open(folder.path()).unwrap().path(&engine(), &wasm);
    let good = fs::read(&path).unwrap();
    let step = good.len() / 24;
    for at in (0..good.len()).step_by(step) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&path, &bad).unwrap();
        assert!(!admission.admit(&wasm).unwrap().cached, "a flipped bit at {at}");
        assert!(admission.admit(&wasm).unwrap().cached, "after it was compiled anew");
    }
    for bad in [&good[..good.len() - 1], &good[..10], &[]] {
        fs::write(&path, bad).unwrap();
        assert!(!admission.admit(&wasm).unwrap().cached);
    }
}

/// Code that another folder's key vouches for, and code of another program under this one's name.
#[test]
fn code_that_is_not_ours_is_refused() {
    let (ours, folder) = admission();
    let (theirs, their_folder) = admission();
    let wasm = Guest::request(&plain()).build();
    let other = Guest::request("(unreachable)").build();
    ours.admit(&wasm).unwrap();
    ours.admit(&other).unwrap();
    theirs.admit(&wasm).unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let (path, other_path) = (cache.path(&engine(), &wasm), cache.path(&engine(), &other));
    let foreign = their_folder.path().join(path.file_name().unwrap());
    fs::copy(&foreign, &path).unwrap();
    assert!(!ours.admit(&wasm).unwrap().cached, "another key");
    fs::copy(&other_path, &path).unwrap();
    let admitted = ours.admit(&wasm).unwrap();
    assert!(!admitted.cached, "another program");
    let program =
        Program::new(&engine(), &admitted.artifact, terms(), Tenant::new().host()).unwrap();
    assert!(ask(&program).map_err(|breach| assert_ne!(breach.kind, BreachKind::Trap)).is_ok());
}

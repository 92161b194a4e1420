//! Everything that a program may import, and the values that hooks share. The worlds refer to these, so that a prompt is the
//! same type in each.

wit_bindgen::generate!({
    path: "wit",
    inline: "
        package realm:guest;
        world capabilities {
            import realm:tenant/types@0.1.0;
            import realm:tenant/log@0.1.0;
            import realm:tenant/metrics@0.1.0;
            import realm:tenant/clock@0.1.0;
            import realm:tenant/random@0.1.0;
            import realm:tenant/tokenizer@0.1.0;
            import realm:tenant/store@0.1.0;
            import realm:tenant/inference@0.1.0;
        }
    ",
    generate_all,
    additional_derives: [PartialEq],
});

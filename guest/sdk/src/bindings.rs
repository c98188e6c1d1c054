//! The generated bindings of `wit/report.wit`. Private: `lib.rs` lists what guests may name, so a new generator or a new
//! contract version shows there and nowhere else.
#![expect(missing_docs, reason = "generated: the docs are in wit/report.wit")]

wit_bindgen::generate!({
    path: "../../wit",
    world: "report-guest",
    pub_export_macro: true,
    default_bindings_module: "assay_guest::__export",
    additional_derives: [PartialEq],
});

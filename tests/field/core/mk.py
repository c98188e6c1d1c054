#!/usr/bin/env python3
"""Makes a small guest. usage: GUEST_FROM_WAT=path/to/guest-from-wat mk.py OUT.wasm leak|two
GUEST_FROM_WAT is a program of the package assay-tests."""
import os, pathlib, struct, subprocess, sys
BASE = 1024
class Data:
    """The guest's data segment; a text is (address, length)."""
    def __init__(self): self.b = bytearray()
    def end(self): return BASE + len(self.b)
    def text(self, t):
        a = self.end(); self.b += t.encode(); return (a, len(t.encode()))
    def words(self, w):
        while len(self.b) % 8: self.b.append(0)
        a = self.end(); self.b += b"".join(struct.pack("<I", x) for x in w); return a
    def step(self, w): return self.words(list(w) + [0] * (6 - len(w)))
    def prompt(self, content): return [self.words([*self.text("user"), *content]), 1] + [0] * 10
    def ask(self, prompts): return self.step([0, self.words(sum(prompts, [])), len(prompts)])
    def accept(self, doc): return self.step([1, *doc, 0, 0])
ALLOC = """(local $at i32)
 (local.set $at (i32.and (i32.add (global.get $heap) (i32.sub (local.get $align) (i32.const 1))) (i32.sub (i32.const 0) (local.get $align))))
 (global.set $heap (i32.add (local.get $at) (local.get $len)))
 (if (i32.gt_u (global.get $heap) (i32.shl (memory.size) (i32.const 16))) (then
  (if (i32.eq (i32.const -1) (memory.grow (i32.add (i32.const 1) (i32.sub (i32.shr_u (global.get $heap) (i32.const 16)) (memory.size))))) (then unreachable))))
 (memory.copy (local.get $at) (local.get $old) (local.get $old_len)) (local.get $at)"""
PARAMS = " ".join(f"(param ${n} i32)" for n in "id id_len text text_len mt mtl fn fnl ra ral at atl answers answers_len".split())
def wat(name, advance):
    d = Data(); body = advance(d)
    man = d.words(sum((list(d.text(t)) for t in (name, "test.v1", '{"type":"object"}', "A guest for tests.")), [])); none = d.words([0, 0])
    data = "".join("\\%02x" % x for x in d.b)
    return f"""(module (memory (export "memory") 2) (global $heap (mut i32) (i32.const {(d.end() + 15) // 16 * 16}))
 (func (export "cabi_realloc") (param $old i32) (param $old_len i32) (param $align i32) (param $len i32) (result i32) {ALLOC})
 (func (export "assay:report/guest@0.1.0#describe") (result i32) (i32.const {man}))
 (func (export "assay:report/guest@0.1.0#advance") {PARAMS} (result i32)
  {body})
 (func (export "assay:report/guest@0.1.0#check") (param i32 i32) (result i32) (i32.const {none}))
 (data (i32.const {BASE}) "{data}"))
"""
def two(d):
    """Two questions, then the report {}."""
    ask = d.ask([d.prompt(d.text("M:TOKENS first")), d.prompt(d.text("M:TOKENS second"))]); acc = d.accept(d.text("{}"))
    return f"(select (i32.const {acc}) (i32.const {ask}) (local.get $answers_len))"
if __name__ == "__main__":
    out, name = pathlib.Path(sys.argv[1]), sys.argv[2]
    text = wat("two", two) if name == "two" else pathlib.Path(__file__).with_name(f"{name}.wat").read_text()
    out.with_suffix(".wat").write_text(text)
    subprocess.run([os.environ["GUEST_FROM_WAT"], str(out.with_suffix(".wat")), str(out)], check=True)
    out.with_suffix(".wat").unlink()

// Does in Node, with Ajv, what a guest does in its sandbox: parse, validate, serialize; and says how long each call took.
//
// node validate.mjs SCHEMA DOCUMENT… reads lines "index calls form" and answers each with one line of nanoseconds.
// The form is "text" (a string in, a string out) or "bytes" (UTF-8 in, UTF-8 out, as files and sockets have it).
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

const [schema, ...documents] = process.argv.slice(2).map((path) => readFileSync(path));
const ajv = new Ajv2020({ strict: false });
addFormats.default(ajv);
const validate = ajv.compile(JSON.parse(schema.toString()));
const texts = documents.map((bytes) => bytes.toString());
let written = 0;

function work(text) {
  const document = JSON.parse(text);
  if (!validate(document)) throw new Error(ajv.errorsText(validate.errors));
  return JSON.stringify(document);
}

const forms = {
  text: (index) => work(texts[index]).length,
  bytes: (index) => Buffer.from(work(documents[index].toString())).length,
};

function measure(index, calls, form) {
  const times = new Array(calls);
  for (let call = 0; call < calls; call += 1) {
    const begun = process.hrtime.bigint();
    written += forms[form](index);
    times[call] = Number(process.hrtime.bigint() - begun);
  }
  return times;
}

// Until V8 has compiled all of it with what it learned.
for (const form of Object.keys(forms)) {
  texts.forEach((text, index) => measure(index, Math.max(300, Math.ceil(3e7 / text.length)), form));
}
console.log(`ready ${process.version}`);
for await (const line of createInterface({ input: process.stdin })) {
  const [index, calls, form] = line.split(" ");
  console.log(measure(Number(index), Number(calls), form).join(" "));
}
if (written === 0) process.exitCode = 1;

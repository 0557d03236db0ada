// /// script
// dependencies = ["zarrita@0.7.5"]
// ///
// zarrita.js writes groups and arrays of format 3; it writes neither consolidated metadata nor shards.
//
// It leaves NAME/before, NAME/after and NAME/case.json, as `corpus.py` does, but for what the arrays hold: that is a list
// of numbers here, as zarrita.js reads them, of which the runner takes the digest.

import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const zarr = await import(pathToFileURL(path.resolve("node_modules/zarrita/dist/src/index.js")));

const root = path.resolve(process.argv[2]);
fs.rmSync(root, { recursive: true, force: true });

class Directory {
	constructor(base) {
		this.base = base;
	}
	async get(key) {
		try {
			return new Uint8Array(fs.readFileSync(this.base + key));
		} catch {
			return undefined;
		}
	}
	async set(key, value) {
		fs.mkdirSync(path.dirname(this.base + key), { recursive: true });
		fs.writeFileSync(this.base + key, value);
	}
}

const range = (n, k = 0) => Array.from({ length: n }, (_, i) => i + k + 1);
const whole = (shape) => shape.map(() => null);
const strides = (shape) => shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1));

async function put(at, dtype, shape, chunks, data, more = {}) {
	const codecs = [{ name: "bytes", configuration: { endian: "little" } }];
	const array = await zarr.create(at, { dtype, shape, chunkShape: chunks, codecs, ...more });
	const value = shape.length ? { data, shape, stride: strides(shape) } : data[0];
	await zarr.set(array, whole(shape), value);
	return array;
}

async function write(store, { rows = 4, k = 0, title = "zarrita", codecs, dtypes = false, nested = false, encoding } = {}) {
	const top = zarr.root(store);
	await zarr.create(top, { attributes: { title } });
	const more = {
		...(codecs ? { codecs } : {}),
		dimensionNames: ["y", "x"],
		attributes: { units: "K" },
		...(encoding ?? {}),
	};
	await put(top.resolve("t2m"), "float32", [rows, 6], [2, 3], new Float32Array(range(rows * 6, k)), more);
	await put(top.resolve("scalar"), "float64", [], [], new Float64Array([k]));
	if (nested) {
		await zarr.create(top.resolve("a"), { attributes: {} });
		await zarr.create(top.resolve("a/b"), { attributes: { level: 2 + k } });
		await put(top.resolve("a/b/v"), "int16", [rows], [2], new Int16Array(range(rows, k)));
	}
	if (dtypes) {
		for (const [name, kind] of Object.entries({
			int8: Int8Array,
			uint8: Uint8Array,
			uint16: Uint16Array,
			int32: Int32Array,
			uint32: Uint32Array,
			int64: BigInt64Array,
			float64: Float64Array,
		})) {
			const numbers = range(4, k).map((n) => (kind === BigInt64Array ? BigInt(n) : n));
			await put(top.resolve(name), name, [4], [2], new kind(numbers));
		}
	}
}

async function found(store) {
	const held = {};
	const files = fs.readdirSync(store.base, { recursive: true }).filter((name) => path.basename(name) === "zarr.json");
	for (const name of files.map((file) => path.dirname(file)).sort()) {
		const node = await zarr.open(zarr.root(store).resolve(name));
		if (node.kind !== "array") continue;
		const { data, shape } = await zarr.get(node, whole(node.shape)).then((value) =>
			value?.data === undefined ? { data: [value], shape: [] } : value,
		);
		held[name] = { shape, dtype: node.dtype, values: Array.from(data, Number) };
	}
	return held;
}

const big = [{ name: "bytes", configuration: { endian: "big" } }];
const turned = [
	{ name: "transpose", configuration: { order: [1, 0] } },
	{ name: "bytes", configuration: { endian: "little" } },
];
const CASES = {
	rewrite: ["a group, format 3", "rewrite", {}, { k: 50 }],
	append: ["written anew, longer, format 3", "append", {}, { rows: 6 }],
	attributes: ["a group, format 3", "attributes", {}, { title: "other" }],
	nested: ["groups in groups", "rewrite", { nested: true }, { nested: true, k: 7 }],
	types: ["numbers of every kind", "rewrite", { dtypes: true }, { dtypes: true, k: 7 }],
	big: ["big-endian", "rewrite", { codecs: big }, { codecs: big, k: 7 }],
	"no-codecs": ["codecs left to zarrita.js, which writes none", "rewrite", { codecs: [] }, { codecs: [], k: 7 }],
	turned: ["transposed", "rewrite", { codecs: turned }, { codecs: turned, k: 7 }],
};
const version = JSON.parse(fs.readFileSync("node_modules/zarrita/package.json")).version;
for (const [name, [layout, does, before, after]] of Object.entries(CASES)) {
	const work = path.join(root, name, "data");
	const holds = {};
	for (const [state, options] of Object.entries({ before, after })) {
		await write(new Directory(work), options);
		holds[state] = await found(new Directory(work));
		fs.cpSync(work, path.join(root, name, state), { recursive: true });
	}
	fs.rmSync(work, { recursive: true });
	const about = { writer: "zarrita.js", packages: { zarrita: version }, layout, does, product: "zarr", holds };
	fs.writeFileSync(path.join(root, name, "case.json"), JSON.stringify(about, null, 1) + "\n");
	console.log(`zarrita.js: ${name}`);
}

// Lists what openapi.json describes. Text enters the page as text only.

function make(tag, text = "", ...children) {
  const element = document.createElement(tag);
  element.textContent = text;
  element.append(...children);
  return element;
}

function resolve(api, schema) {
  const name = schema.$ref?.split("/").pop();
  return name ? api.components.schemas[name] : schema;
}

// Short name of a type, such as "list of number" or "Edits".
function typeOf(schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" or ");
  const several = schema.anyOf ?? schema.oneOf;
  if (several) return several.map(typeOf).join(" or ");
  if (schema.prefixItems) return `[${schema.prefixItems.map(typeOf).join(", ")}]`;
  if (schema.type === "array") return `list of ${typeOf(schema.items ?? {})}`;
  if (schema.contentMediaType || schema.format === "binary") return "file";
  if (schema.additionalProperties?.type) return `object of ${schema.additionalProperties.type}`;
  return schema.type ?? "any";
}

function describe(schema, required) {
  const fallback = schema.default === undefined ? "" : `; default ${JSON.stringify(schema.default)}`;
  const text = `${typeOf(schema)}${required ? ", required" : fallback}`;
  return schema.description ? `${text}. ${schema.description}` : text;
}

function fields(api, operation) {
  const list = make("dl");
  for (const it of operation.parameters ?? []) {
    list.append(make("dt", `${it.name} (${it.in})`), make("dd", describe(it.schema, it.required)));
  }
  for (const [type, { schema }] of Object.entries(operation.requestBody?.content ?? {})) {
    const body = resolve(api, schema);
    for (const [name, property] of Object.entries(body.properties ?? {})) {
      const required = body.required?.includes(name);
      list.append(make("dt", name), make("dd", describe(property, required)));
    }
    list.append(make("dt", "Content-Type"), make("dd", type));
  }
  return list;
}

function article(api, method, path, operation) {
  const heading = make("h3");
  const verb = make("span", method.toUpperCase());
  verb.className = "method";
  heading.append(verb, make("code", path));
  const parts = [heading, make("p", operation.description ?? operation.summary)];
  const list = fields(api, operation);
  if (list.children.length) parts.push(list);
  return make("article", "", ...parts);
}

function schemas(api) {
  const section = make("section", "", make("h2", "Objects in requests"));
  section.id = "objects";
  for (const [name, schema] of Object.entries(api.components?.schemas ?? {})) {
    if (!schema.properties || name.startsWith("Body_")) continue;
    const list = make("dl");
    for (const [key, property] of Object.entries(schema.properties)) {
      list.append(make("dt", key), make("dd", describe(property, schema.required?.includes(key))));
    }
    section.append(make("article", "", make("h3", name), make("p", schema.description ?? ""), list));
  }
  return section;
}

async function show() {
  const target = document.querySelector("#operations");
  const answer = await fetch("/openapi.json");
  if (!answer.ok) throw new Error(`openapi.json: ${answer.status}`);
  const api = await answer.json();
  document.querySelector("h1").textContent = `HTTP API of ${api.info.title} ${api.info.version}`;
  const groups = new Map();
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const group = operation.tags?.[0] ?? "other";
      if (!groups.has(group)) {
        const section = make("section", "", make("h2", group));
        section.id = group.replaceAll(" ", "-");
        groups.set(group, section);
      }
      groups.get(group).append(article(api, method, path, operation));
    }
  }
  const sections = [...groups.values(), schemas(api)];
  target.replaceChildren(...sections);
  target.setAttribute("aria-busy", "false");
  for (const section of sections) {
    const link = make("a", section.querySelector("h2").textContent);
    link.href = `#${section.id}`;
    document.querySelector("nav").append(link);
  }
}

show().catch((error) => {
  document.querySelector("#operations").textContent = `The list cannot be shown: ${error.message}`;
});

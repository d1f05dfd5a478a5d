package events

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schemaOf describes a Go type as JSON. Unknown fields are allowed: what is
// added later must not break those who check.
func schemaOf(t reflect.Type) map[string]any {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[Outcome]():
		return map[string]any{"type": "string", "enum": Outcomes}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem())
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return map[string]any{"type": "integer"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem())}
	case reflect.Struct:
		properties, required := map[string]any{}, []string{}
		fieldsOf(t, properties, &required)
		return map[string]any{"type": "object", "properties": properties, "required": required}
	default:
		panic("no schema of " + t.String())
	}
}

func fieldsOf(t reflect.Type, properties map[string]any, required *[]string) {
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case f.Anonymous && name == "":
			fieldsOf(f.Type, properties, required)
		default:
			properties[name] = schemaOf(f.Type)
			if !strings.Contains(options, "omitempty") {
				*required = append(*required, name)
			}
		}
	}
}

// schemaFor describes the data of an event: our customData and, in types of
// our own, the subject's content, which the standard leaves open.
func schemaFor(p Payload, moment string) map[string]any {
	content, custom := p.halves()
	properties := map[string]any{
		"subject": map[string]any{"type": "object", "properties": map[string]any{"content": schemaOf(reflect.TypeOf(content))}, "required": []string{"id", "content"}},
	}
	required := []string{"context", "subject"}
	if custom != nil {
		properties["customData"] = schemaOf(reflect.TypeOf(custom))
		required = append(required, "customData")
	}
	return map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://slipway.dev/schema/" + string(p.Type()) + ".json",
		"title": string(p.Type()), "description": "The data of the event: " + moment + ".",
		"type": "object", "properties": properties, "required": required,
	}
}

func schemaFile(t Type) string { return filepath.Join("schema", string(t)+".json") }

func TestSchemasAreThoseOfTheGoTypes(t *testing.T) {
	for _, p := range samples() {
		t.Run(p.Type().Short(), func(t *testing.T) {
			kind, _ := kindOf(p.Type())
			data, err := json.Marshal(schemaFor(p, kind.Moment))
			if err != nil {
				t.Fatal(err)
			}
			golden(t, schemaFile(p.Type()), indent(t, data))
		})
	}
}

func TestGoldensFollowOurSchemas(t *testing.T) {
	for _, k := range Kinds {
		t.Run(k.Type.Short(), func(t *testing.T) {
			c := compiler(t, schemaFile(k.Type))
			validate(t, c, "https://slipway.dev/schema/"+string(k.Type)+".json", dataOf(t, goldenFile(k.Type)))
		})
	}
}

func TestOurSchemasRefuseAWrongType(t *testing.T) {
	c := compiler(t, schemaFile(ArtifactPublishedType))
	s, err := c.Compile("https://slipway.dev/schema/" + string(ArtifactPublishedType) + ".json")
	if err != nil {
		t.Fatal(err)
	}
	data := dataOf(t, goldenFile(ArtifactPublishedType))
	data["customData"].(map[string]any)["tag"] = true
	if s.Validate(data) == nil {
		t.Error("a tag that is true passes")
	}
}

// corpus is the folder of the standard's files, which the project does not
// copy.
func corpus(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("SLIPWAY_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "corpus")
	}
	dir = filepath.Join(dir, "cdevents")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("NOT CHECKED against the CDEvents standard: no corpus at %s; set SLIPWAY_CORPUS", dir)
	}
	return dir
}

// standard is what the standard calls the files of a type.
func standard(t Type) (schema, conformance string) {
	if strings.HasPrefix(string(t), "dev.cdeventsx.") {
		return "custom/schema.json", "custom/conformance.json"
	}
	subject, predicate, _ := strings.Cut(t.Short(), ".")
	return "schemas/" + subject + predicate + ".json", "conformance/" + subject + "_" + predicate + ".json"
}

func TestGoldensFollowTheStandardsSchemas(t *testing.T) {
	dir := corpus(t)
	links, err := filepath.Glob(filepath.Join(dir, "schemas", "links", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range Kinds {
		t.Run(k.Type.Short(), func(t *testing.T) {
			name, _ := standard(k.Type)
			file := filepath.Join(dir, name)
			c := compiler(t, append(links, file)...)
			id, _ := readObject(t, file)["$id"].(string)
			validate(t, c, id, dataOf(t, goldenFile(k.Type)))
		})
	}
}

// The standard's samples hold all that it knows (links, sbom, schemaUri, a
// subject's source). With our customData they must be read.
func TestStandardsSamplesAreReadWithOurCustomData(t *testing.T) {
	dir := corpus(t)
	for _, k := range Kinds {
		if strings.HasPrefix(string(k.Type), "dev.cdeventsx.") {
			continue // of another tool
		}
		t.Run(k.Type.Short(), func(t *testing.T) {
			_, name := standard(k.Type)
			sample := readObject(t, filepath.Join(dir, name))
			sample["customData"] = dataOf(t, goldenFile(k.Type))["customData"]
			context := sample["context"].(map[string]any)
			if context["chainId"] == nil {
				context["chainId"] = "c" // the standard demands none, we do
			}
			envelope, err := json.Marshal(map[string]any{
				"specversion": "1.0", "id": context["id"], "source": context["source"], "type": context["type"],
				"time": context["timestamp"], "subject": sample["subject"].(map[string]any)["id"],
				"datacontenttype": "application/json", "data": sample,
			})
			if err != nil {
				t.Fatal(err)
			}
			e, err := Parse(envelope)
			if err != nil {
				t.Fatal(err)
			}
			if e.ChainID != context["chainId"] || e.Type() != k.Type {
				t.Errorf("read as %+v", e)
			}
		})
	}
}

func compiler(t *testing.T, files ...string) *jsonschema.Compiler {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	for _, file := range files {
		doc := readObject(t, file)
		if err := c.AddResource(doc["$id"].(string), doc); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func validate(t *testing.T, c *jsonschema.Compiler, id string, data any) {
	t.Helper()
	s, err := c.Compile(id)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(data); err != nil {
		t.Error(err)
	}
}

func dataOf(t *testing.T, file string) map[string]any {
	t.Helper()
	return readObject(t, file)["data"].(map[string]any)
}

func readObject(t *testing.T, file string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return doc.(map[string]any)
}

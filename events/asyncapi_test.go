package events

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"text/template"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// The document's shape; its types are those of the table.
var asyncAPITemplate = template.Must(template.New("asyncapi").Funcs(template.FuncMap{"join": strings.Join}).Parse(`# Written by make generate from the table of types; don't edit it.
asyncapi: 3.0.0
info:
  title: Slipway's events
  version: 1.0.0
  description: |
    Facts in the past tense, as CloudEvents 1.0 in structured JSON whose data is a CDEvent. Each is stored on the
    JetStream stream SLIPWAY before anybody is told that it happened; the id is the message id. Fields
    and types are added, never taken away: ignore those that you don't know.
defaultContentType: application/cloudevents+json
servers:
  bus:
    host: nats:4222
    protocol: nats
    description: The URL is bus.url of Slipway's config; a subscriber has a user of its own that may only read.
channels:
{{- range .}}
  {{.Type.Short}}:
    address: slipway.{{.Type.Short}}.{key}
    description: {{.Moment}}; from {{join .Emitters ", "}}
    parameters:
      key: {$ref: '#/components/parameters/key'}
    messages:
      {{.Type.Short}}: {$ref: '#/components/messages/{{.Type.Short}}'}
{{- end}}
operations:
{{- range .}}
  {{.Type.Short}}:
    action: receive
    channel: {$ref: '#/channels/{{.Type.Short}}'}
{{- end}}
components:
  parameters:
    key:
      description: >-
        The repository or application that the event is about, as one token: '%', '.', '*', '>', white space, control
        and non-ASCII bytes are each written as '%' and two hexadecimal digits.
  messages:
{{- range .}}
    {{.Type.Short}}:
      name: {{.Type}}
      summary: {{.Moment}}
      contentType: application/cloudevents+json
      payload:
        allOf:
        - $ref: '#/components/schemas/event'
        - type: object
          properties:
            type: {const: {{.Type}}}
            data: {$ref: 'schema/{{.Type}}.json'}
{{- end}}
  schemas:
    event:
      description: A CloudEvent whose data is a CDEvent.
      type: object
      required: [specversion, id, source, type, time, subject, datacontenttype, data]
      properties:
        specversion: {const: '1.0'}
        id: {type: string, minLength: 1, description: the same for the same fact, so that one told twice is known}
        source: {type: string, format: uri-reference, minLength: 1}
        type: {type: string, minLength: 1}
        time: {type: string, format: date-time}
        subject: {type: string, minLength: 1}
        datacontenttype: {const: application/json}
        traceparent: {type: string, description: W3C trace context, where somebody traces}
        data:
          type: object
          required: [context, subject]
          properties:
            context:
              type: object
              required: [specversion, id, source, type, timestamp, chainId]
              properties:
                chainId: {type: string, minLength: 1, description: what all events have in common that follow from one cause}
`))

const asyncAPIFile = "asyncapi.yaml"

func TestAsyncAPIHasEveryType(t *testing.T) {
	var b bytes.Buffer
	if err := asyncAPITemplate.Execute(&b, Kinds); err != nil {
		t.Fatal(err)
	}
	golden(t, asyncAPIFile, b.Bytes())
}

// TestGoldensFollowAsyncAPI reads the document as a tool does: its references
// lead somewhere, and each sample is what it says.
func TestGoldensFollowAsyncAPI(t *testing.T) {
	data, err := os.ReadFile(asyncAPIFile)
	if err != nil {
		t.Fatal(err)
	}
	var doc any
	if err := yaml.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	if doc, err = jsonschema.UnmarshalJSON(bytes.NewReader(asJSON)); err != nil {
		t.Fatal(err)
	}
	for _, k := range Kinds {
		t.Run(k.Type.Short(), func(t *testing.T) {
			c := compiler(t, schemaFile(k.Type))
			if err := c.AddResource("https://slipway.dev/"+asyncAPIFile, doc); err != nil {
				t.Fatal(err)
			}
			message := "https://slipway.dev/" + asyncAPIFile + "#/components/messages/" + k.Type.Short() + "/payload"
			sample := readObject(t, goldenFile(k.Type))
			validate(t, c, message, sample)
			schema, err := c.Compile(message)
			if err != nil {
				t.Fatal(err)
			}
			sample["type"] = "dev.cdevents.build.started.0.3.0"
			if schema.Validate(sample) == nil {
				t.Error("an event of another type passes")
			}
		})
	}
}

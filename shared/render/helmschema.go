package render

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/santhosh-tekuri/jsonschema/v6"

	chart "helm.sh/helm/v4/pkg/chart/v2"
)

// refuseOutsideSchemas refuses a values.schema.json for which Helm would ask
// the network or the disk.
func refuseOutsideSchemas(c *chart.Chart, where places) error {
	if len(c.Schema) > 0 {
		if at := outside(c.Schema); at != "" {
			return &Error{
				File: where.data(c.Schema), Reason: ReasonUnsupported,
				Message: fmt.Sprintf("the schema refers to %q, outside of itself; Slipway renders from the repository alone", redact(at)),
				Help:    "put the definition into the schema, below $defs",
			}
		}
	}
	for _, d := range c.Dependencies() {
		if err := refuseOutsideSchemas(d, where); err != nil {
			return err
		}
	}
	return nil
}

// outside is the first address that compiling a schema asks for. What is wrong
// with it otherwise, Helm says.
func outside(data []byte) (address string) {
	defer func() { _ = recover() }() // Helm does the same, and says it
	schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return ""
	}
	const name = "file:///values.schema.json"
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(loaderFunc(func(url string) (any, error) {
		if address == "" {
			address = url
		}
		return nil, errors.ErrUnsupported
	}))
	if err := compiler.AddResource(name, schema); err == nil {
		_, _ = compiler.Compile(name) // its error is told by Helm
	}
	return address
}

type loaderFunc func(string) (any, error)

func (f loaderFunc) Load(url string) (any, error) {
	if len(url) > 4 && url[:4] == "urn:" {
		return true, nil // as Helm does
	}
	return f(url)
}

package events

// EnvironmentModified says that configuration was applied without a new
// image.
type EnvironmentModified struct {
	Service
}

// Type is [EnvironmentModifiedType].
func (EnvironmentModified) Type() Type { return EnvironmentModifiedType }

// Key is the application.
func (e EnvironmentModified) Key() string { return e.Application }

// SubjectID is the application.
func (e EnvironmentModified) SubjectID() string { return e.Application }

// Validate wants an application.
func (e EnvironmentModified) Validate() error { return validApplication(e.Application) }

type environmentContent struct {
	Name string `json:"name,omitempty"`
	URI  string `json:"uri,omitempty"`
}

func (e EnvironmentModified) halves() (content, custom any) {
	return environmentContent{Name: e.Environment, URI: "slipway:" + e.Application}, e.Service
}

func decodeEnvironmentModified(h halves) (Payload, error) {
	var content environmentContent
	var p EnvironmentModified
	err := h.into(&content, &p.Service)
	p.Environment = content.Name
	return p, err
}

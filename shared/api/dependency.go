package api

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Dependency is another Application.
type Dependency struct {
	Name string `json:"name"`
	// Namespace is the other one's; empty: the Application's own. Another one is
	// for trusted namespaces, and for those that one Project governs together.
	Namespace string `json:"namespace,omitempty"`
}

// Key is namespace/name, as seen from an Application of a namespace.
func (d Dependency) Key(own string) string { return cmp.Or(d.Namespace, own) + "/" + d.Name }

var namespaceName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`) // RFC 1123, 2.1

func (d Dependency) validate(own, name string) error {
	switch {
	case d.Name == "":
		return errors.New(".name is empty")
	case strings.Contains(d.Name, "/"):
		return fmt.Errorf(".name: %q: the name alone is written here, and another namespace in namespace", d.Name)
	case d.Namespace != "" && !namespaceName.MatchString(d.Namespace):
		return fmt.Errorf(".namespace: %q is not the name of a namespace", d.Namespace)
	case d.Key(own) == own+"/"+name:
		return errors.New(" is the application itself")
	}
	return nil
}

package sync

import "github.com/slipway-cd/slipway/shared/api"

// itself says whether an object is the application's own document: a root that
// is kept in Git applies itself. It is not waited for, since it is ready only
// when the wait is over.
func (a *app) itself(group, kind, namespace, name string) bool {
	return group == api.Group && kind == api.ApplicationKind && namespace == a.name.Namespace && name == a.name.Name
}

// Package kube reaches a Kubernetes cluster: configuration, clients that act
// for a service account, the mapping of kinds to resources, and shared
// watches that keep a small part of each object.
package kube

// Package render turns a path of a repository into the Kubernetes objects
// that it stands for, in the order in which they are applied.
//
// It reads one commit as an [io/fs.FS] and nothing else: no disk, no network,
// no cluster, no plug-ins. What a path is follows from what is there: a chart is
// rendered as `helm template` does, in a child process with limits, a
// kustomization is built as `kustomize build` does, anything else is plain
// YAML and JSON. Besides the objects it gives the paths that the result
// depends on, so that a caller can tell from a list of changed paths whether
// to render again.
package render

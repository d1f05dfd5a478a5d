// Package promote decides which applications move to which image, and
// commits that to the config repos.
//
// An event about an image becomes a known tag; [Confirmer] asks the registry
// for it; [Deployer] then decides for each application on the head of its
// repository, commits one batch, and decides again when somebody else pushed
// meanwhile. Nothing that waits lives in memory alone: known tags are in a
// bucket, work in queues, everything else in Git.
package promote

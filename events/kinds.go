package events

import (
	"encoding/json"
	"fmt"
	"strings"
)

// The types that Slipway emits.
const (
	ArtifactPublishedType   Type = "dev.cdevents.artifact.published.0.3.0"
	ArtifactDeletedType     Type = "dev.cdevents.artifact.deleted.0.2.0"
	RefUpdatedType          Type = "dev.cdeventsx.slipway-ref.updated.0.1.0"
	DecisionMadeType        Type = "dev.cdeventsx.slipway-decision.made.0.1.0"
	ApprovalCreatedType     Type = "dev.cdeventsx.slipway-approval.created.0.1.0"
	ApprovalUpdatedType     Type = "dev.cdeventsx.slipway-approval.updated.0.1.0"
	ApprovalClosedType      Type = "dev.cdeventsx.slipway-approval.closed.0.1.0"
	HoldPlacedType          Type = "dev.cdeventsx.slipway-hold.placed.0.1.0"
	HoldReleasedType        Type = "dev.cdeventsx.slipway-hold.released.0.1.0"
	ChangeCreatedType       Type = "dev.cdevents.change.created.0.4.0"
	ChangeMergedType        Type = "dev.cdevents.change.merged.0.3.0"
	PipelineRunStartedType  Type = "dev.cdevents.pipelinerun.started.0.3.0"
	PipelineRunFinishedType Type = "dev.cdevents.pipelinerun.finished.0.3.0"
	ServiceDeployedType     Type = "dev.cdevents.service.deployed.0.3.0"
	ServiceUpgradedType     Type = "dev.cdevents.service.upgraded.0.3.0"
	ServiceRolledBackType   Type = "dev.cdevents.service.rolledback.0.3.0"
	ServiceRemovedType      Type = "dev.cdevents.service.removed.0.3.0"
	IncidentDetectedType    Type = "dev.cdevents.incident.detected.0.3.0"
	IncidentResolvedType    Type = "dev.cdevents.incident.resolved.0.3.0"
	EnvironmentModifiedType Type = "dev.cdevents.environment.modified.0.3.0"
	StateRequestedType      Type = "dev.cdeventsx.slipway-state.requested.0.1.0"
)

// Kind describes one type of event.
type Kind struct {
	Type Type
	// Moment says in a few words what has happened.
	Moment string
	// Emitters and Listeners are names of services.
	Emitters, Listeners []string

	decode func(halves) (Payload, error)
}

// Kinds is the table of every type that Slipway emits. Subjects, the schemas
// and the golden tests range over it.
var Kinds = []Kind{
	{ArtifactPublishedType, "image or tag pushed", []string{"registry-receiver", "automator"}, []string{"automator"}, decodeArtifactPublished},
	{ArtifactDeletedType, "image or tag deleted", []string{"registry-receiver"}, []string{"automator"}, decodeArtifactDeleted},
	{RefUpdatedType, "Git ref moved", []string{"git-receiver", "synchronizer"}, []string{"automator", "synchronizer"}, decodeRefUpdated},
	{DecisionMadeType, "automator decided", []string{"automator"}, nil, decodeDecisionMade},
	{ApprovalCreatedType, "a person is to decide", []string{"automator"}, nil, decodeApprovalCreated},
	{ApprovalUpdatedType, "a person voted", []string{"automator"}, nil, decodeApprovalUpdated},
	{ApprovalClosedType, "a proposal ended", []string{"automator"}, nil, decodeApprovalClosed},
	{HoldPlacedType, "a version was put on hold", []string{"automator"}, nil, decodeHold(HoldPlacedType)},
	{HoldReleasedType, "a hold ended", []string{"automator"}, nil, decodeHold(HoldReleasedType)},
	{ChangeCreatedType, "pull request opened", []string{"automator"}, nil, decodeChangeCreated},
	{ChangeMergedType, "commit landed in the config repo", []string{"automator"}, []string{"synchronizer"}, decodeChangeMerged},
	{PipelineRunStartedType, "sync started", []string{"synchronizer"}, nil, decodePipelineRunStarted},
	{PipelineRunFinishedType, "sync finished", []string{"synchronizer"}, []string{"automator"}, decodePipelineRunFinished},
	{ServiceDeployedType, "healthy with a first image", []string{"synchronizer"}, []string{"automator"}, decodeService(ServiceDeployedType)},
	{ServiceUpgradedType, "healthy with a new image", []string{"synchronizer"}, []string{"automator"}, decodeService(ServiceUpgradedType)},
	{ServiceRolledBackType, "healthy with an older image", []string{"synchronizer"}, []string{"automator"}, decodeService(ServiceRolledBackType)},
	{ServiceRemovedType, "pruned", []string{"synchronizer"}, []string{"automator"}, decodeService(ServiceRemovedType)},
	{IncidentDetectedType, "something is wrong and needs somebody", []string{"automator", "synchronizer"}, []string{"automator"}, decodeIncident(IncidentDetectedType)},
	{IncidentResolvedType, "it no longer is", []string{"synchronizer"}, []string{"automator"}, decodeIncident(IncidentResolvedType)},
	{EnvironmentModifiedType, "configuration applied, no new image", []string{"synchronizer"}, nil, decodeEnvironmentModified},
	{StateRequestedType, "somebody asks what applications run", []string{"automator"}, []string{"synchronizer"}, decodeStateRequested},
}

func kindOf(t Type) (Kind, bool) {
	for _, k := range Kinds {
		if k.Type == t {
			return k, true
		}
	}
	return Kind{}, false
}

// Short is "<subject>.<predicate>" without prefix, "slipway-" and version:
// "artifact.published", "ref.updated".
func (t Type) Short() string {
	s := strings.TrimPrefix(string(t), "dev.cdeventsx.slipway-")
	s = strings.TrimPrefix(s, "dev.cdevents.")
	parts := strings.SplitN(s, ".", 3)
	if len(parts) < 2 {
		return s
	}
	return parts[0] + "." + parts[1]
}

// halves are the parts of a CDEvent from which a payload is read.
type halves struct {
	subjectID       string
	content, custom json.RawMessage
}

// into reads content and custom into the given targets; a nil target skips.
func (h halves) into(content, custom any) error {
	for _, half := range []struct {
		name   string
		raw    json.RawMessage
		target any
	}{{"subject.content", h.content, content}, {"customData", h.custom, custom}} {
		if half.target == nil || len(half.raw) == 0 {
			continue
		}
		if err := json.Unmarshal(half.raw, half.target); err != nil {
			return fmt.Errorf("%s: %w", half.name, err)
		}
	}
	return nil
}

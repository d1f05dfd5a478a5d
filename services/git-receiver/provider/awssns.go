package provider

import (
	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/webhook"
)

// awsSNS is AWS CodeCommit by SNS: a repository trigger's records, or
// EventBridge's events, as messages. (Without a Git host, a source is the
// registry-receiver's: ECR by SNS.)
var awsSNS = webhook.Provider{
	Name:      "aws-sns",
	MaxBody:   webhook.MiB,
	NoSecrets: true,
	Prove:     webhook.NewSNS(nil, nil).Prove,
	SignBy:    webhook.SignSNS,
	Check:     webhook.CheckSNS,
	Takes:     func(s service.Source) bool { return s.Host != "" },
	Parse: func(r webhook.Request, s webhook.Source) (webhook.Delivery, error) {
		return webhook.ParseSNS(r, s, func(message []byte, d *webhook.Delivery) error {
			var e codecommitEvent
			if err := webhook.JSON(message, &e); err != nil {
				return err
			}
			return e.read(d, s, "aws-sns")
		})
	},
	Setup: webhook.Setup{
		Where:  "SNS: a topic, SignatureVersion 2, with an HTTPS subscription to /hooks/{source}, without raw delivery: it is confirmed by itself. CodeCommit: repository → Settings → Triggers with that topic. The source needs host: git-codecommit.REGION.amazonaws.com, which also tells it from one for ECR.",
		Events: "All repository events.",
		Secret: "None: SNS signs. The source lists the topics' ARNs as topics, and with signature: v2 refuses SHA-1. (Raw delivery is not signed: give the source a secret, and the subscription the address https://sns:{secret}@…)",
		Tried:  webhook.Captured,
	},
}

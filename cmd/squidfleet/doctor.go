package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"squidfleet/internal/doctor"
	"squidfleet/params"
)

// errFound ends a doctor that found something, which it has written.
var errFound = errors.New("something was found")

func newDoctor(s *streams) *cobra.Command {
	var flags fleetFlags
	var context []string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check an account and region before a deployment, or after it",
		Long: `Check an account and region for what a fleet with the parameters in cdk.json needs, and
a deployed fleet for what keeps it from working. It changes nothing and reads no password.
RESULT is
  ok       as it has to be
  note     worth knowing; nothing has to be done
  unknown  AWS did not answer, mostly for want of a permission; the other checks go on
  problem  keeps a fleet from being deployed or from working
with the fix in the line below. With vpcId it looks at that VPC. It compares the template
of a deployed fleet with cdk.out, if make synth has written that.

Exit code 0 means that no problem was found and nothing is unknown, 3 the opposite, and 1
that it could not begin.`,
		Example: `  squidfleet doctor
  squidfleet doctor --region eu-west-1 -c fleetSize=20 -c cpu=1024
  squidfleet doctor --json | jq -r '.findings[] | select(.level == "problem").fix'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("stack-name") {
				if err := params.CheckStackName(flags.StackName); err != nil {
					return usage("--stack-name: %v", err)
				}
				context = append(context, "stackName="+flags.StackName)
			}
			p, err := parameters(context)
			if err != nil {
				return err
			}
			flags.StackName = p.StackName
			return flags.explained(cmd, func() error {
				r, err := doctor.Examine(cmd.Context(), flags.Options, p, os.DirFS("cdk.out"))
				if err != nil {
					return err
				}
				err = s.result(r, func() { s.table(doctorRows(r.Findings)) })
				if err == nil && r.Ill() {
					err = errFound
				}
				return err
			})
		},
	}
	flags.addAWS(s, cmd, doctor.Permissions()...)
	addContext(cmd, &context)
	cmd.Flags().StringVar(&flags.StackName, "stack-name", "",
		"the fleet's parameter stackName (default: as in cdk.json)")
	return cmd
}

// doctorRows has a fix in a row of its own.
func doctorRows(findings []doctor.Finding) [][]cell {
	rows := [][]cell{row("CHECK", "RESULT", "WHAT")}
	for _, f := range findings {
		rows = append(rows, row(f.Check, state(f.Level), f.Detail))
		if f.Fix != "" {
			rows = append(rows, row(" ", " ", "fix: "+f.Fix))
		}
	}
	return rows
}

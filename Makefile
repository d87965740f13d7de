# Each script in scripts/ is a target; its second line says what it does. All set themselves up: see sandbox/bootstrap.
# Arguments go through ARGS: make test ARGS='tests/unit -k keys'.
SCRIPTS := $(notdir $(wildcard scripts/*))

.PHONY: help $(SCRIPTS)

help:
	@for each in $(SCRIPTS); do printf 'make %-13s' "$$each"; sed -n '2s/^# *//p' "scripts/$$each"; done

$(SCRIPTS):
	@sandbox/bootstrap scripts/$@ $(ARGS)

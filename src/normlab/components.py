"""Every component there is: importing this module makes all choices of all groups known."""

import normlab.data
import normlab.init
import normlab.models
import normlab.norms
import normlab.probes
import normlab.sweeps.launchers
import normlab.tracking
import normlab.training.optimizers
import normlab.training.schedules  # noqa: F401

"""Bad command lines of every command: one line with the way out, not 0, nothing left behind.

`test_command_errors` has those of `train` by their whole texts, `test_own_files` those about files
of one's own.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from support.command_line import everything_in, normlab
from support.runs import carried_out, planned

HELP = "--help` tells all it takes."

COMMANDS = {
    # Words that no command, action or option has.
    "": f"required: COMMAND. `normlab {HELP}",
    "trian norm=batch": "trian: there is no such command. Did you mean 'train'? There are train,",
    "expriment run demo": "expriment: there is no such command. Did you mean 'experiment'?",
    "norm=batch": "norm=batch: there is no such command.",
    "-m norm=batch": "norm=batch: there is no such command.",
    "runs": f"required: ACTION. `normlab runs {HELP}",
    "runs plto": "plto: there is no such action. Did you mean 'plot'? There are ls,",
    "runs PLOT": "PLOT: there is no such action. Did you mean 'plot'?",
    "runs list": "list: there is no such action. Did you mean 'ls'?",
    "runs ls --resluts-dir x": "--resluts-dir: there is no such option. Did you mean '--results-di",
    "runs ls -x": "-x: there is no such option.",
    "runs show": f"required: run. `normlab runs show {HELP}",
    "runs show a b": "b: nothing is expected there.",
    "runs diff a": "required: other.",
    "runs measure": "required: run, words.",
    "runs plot --xlim 1": "--xlim: expected 2 arguments.",
    "runs plot --xlim 1 a": "--xlim must be a number; got 'a'.",
    "runs plot --y": "--y: expected one argument.",
    "runs pull": "required: --project.",
    "runs push --offlin --offline=3": "--offline: ignored explicit argument '3'.",
    "experiment": "required: ACTION.",
    "experiment rnu demo": "rnu: there is no such action. Did you mean 'run'? There are run, plan,",
    "experiment run": "required: NAME.",
    "experiment run demo --scale": "--scale: expected one argument.",
    "experiment run demo --sclae small": "--sclae: there is no such option. Did you mean '--scale'",
    "experiment list demo": "demo: nothing is expected there.",
    "experiment run demo --dry": "--dry is an option of another command.",
    "experiment wandb-sweep demo demo": "demo: nothing is expected there.",
    "experiment claims --quite": "--quite: there is no such option. Did you mean '--quiet'?",
    "data": "required: NAME.",
    "data cifar10 --resize x": "--resize must be a whole number; got 'x'.",
    "data cifar10 cifar100": "cifar100: nothing is expected there.",
    "dashboard --drry": "--drry: there is no such option. Did you mean '--dry'?",
    "zoo norms": "norms: nothing is expected there.",
    "train --cfg jbo": "--cfg/-c has no jbo. Did you mean 'job'? There are job, hydra, all.",
    "train --cfg": "--cfg: expected one argument.",
    "train --info nope": "--info/-i has no nope. There are all, config,",
    "train -x": f"-x: there is no such option. `normlab train {HELP}",
    "train --multirnu norm=none": "--multirnu: there is no such option. Did you mean '--multirun'?",
    "train --config-name x": "--config-name: normlab composes a run from its own configs",
    "train --config-dir x": "--config-dir: normlab composes a run from its own configs",
    "train --resolve": "--resolve says how --cfg prints a configuration; add --cfg job.",
    "train --package norm": "--package says how --cfg prints a configuration; add --cfg job.",
    # Lists of a sweep.
    "train -m norm=glob(z*)": "norm=glob(z*) matches no norm. It matches whole names, * any letter",
    "train -m norm=glob(*,exclude=*)": "matches no norm.",
    "train -m norm=glob()": "is not of the form key=value.",
    "train -m optimizer.lr=glob(*)": "glob chooses among the files of a group, and optimizer.lr is",
    "train -m nrom=glob(*)": "and nrom is none. Did you mean 'norm'? Groups: data, init,",
    "train norm=glob(*)": "norm=glob(*) lists several values, which makes a sweep: add -m.",
    "train seed=range(0,3)": "seed=range(0,3) lists several values, which makes a sweep: add -m.",
    "train -m seed=range(3,3)": "seed=range(3,3) lists no value. Give one at least, such as seed=",
    "train -m seed=range(3,0)": "seed=range(3,0) lists no value.",
    "train -m seed=range(0,3,0)": "a range goes on in steps that are not 0, as range(0,10,2).",
    "train -m seed=range(0,1000000000000)": "seed=range(0,1000000000000) alone lists 1e+12 values.",
    "train -m seed=shuffle(range(0,1000000000000))": "a sweep has at most 100,000 runs;",
    "train -m optimizer.lr=range(0,1,1e-12)": "alone lists 1e+12 values. List fewer, or make the",
    "train -m seed=range(0,1000) optimizer.lr=range(1,1000)": "this one has 1000 x 999 = 999,000.",
    "train -m seed=range(a,b)": "Of functions there are choice(a,b), range(0,10,2) and glob(a*)",
    "train -m optimizer.lr=interval(0,1)": "an interval has no end of values, and normlab tries",
    "train -m optimizer.lr=tag(a,interval(0,1))": "Give some, such as optimizer.lr=0.1,0.3,1",
    "train -m seed=foo(1,2)": "Of functions there are choice(a,b)",
    "train -m seed=choice()": "Of functions there are choice(a,b)",
    "train -m seed=choice(range(0,3))": "is not of the form key=value.",
    "train -m seed=sort(1,a)": "is not of the form key=value.",
    "train -m seed=str(range(0,2))": "is not of the form key=value.",
    "train -m seed=extend_list(1)": "is not of the form key=value.",
    "train -m norm=none,batch norm=layer": "norm is given twice: norm=none,batch and, after it, no",
    "train -m seed=0,1 seed=2,3": "seed=2,3, which would count alone. Keep one of them.",
    "train -m optimizer.lr=1,2 optimizer.lr=3": "optimizer.lr is given twice",
    "train -m ~seed=1,2": "what is left out has no values to try.",
    "train -m norm=none,": "is not of the form key=value.",
    "train -m seed=0,,1": "is not of the form key=value.",
    'train -m norm=\'"none","bacth"\'': "norm=bacth: there is no such norm. Did you mean 'batch'?",
    "train -m \"norm='none,batch'\"": "norm=none,batch: there is no such norm.",
    "train -m norm=[none,batch]": "a run has one norm. Give one, or all of them to a sweep: -m nor",
    "train optimizer=[sgd]": "optimizer=[sgd]: a run has one optimizer.",
    "train -m norm=lp norm.p=1,.inf": "norm.p must be a number; got '.inf'. Here it is written inf",
    "train -m norm=lp norm.p=1,0": "(at norm.p=0)",
    "train -m norm=none,batch norm.momentum=0.1,0.2": "norm.momentum: there is no such setting.",
    "train -m seed=1,a": "seed must be a whole number; got 'a'. (at seed=a)",
    "train -m data.limit=null,x": "data.limit must be a whole number or null; got 'x'.",
    "train -m +foo=1,2": "foo: there is no such setting.",
    "train -m results_dir=a,b": "results_dir is one for a whole sweep",
    "train -m norm=": "norm=: there is no such norm.",
    # Numbers out of bounds, one by one and against the machine.
    "train seed=99999999999999999999999": "seed must be at most 9223372036854775807",
    "train -m seed=0,9223372036854775808": "(at seed=9223372036854775808)",
    "train seed=1e3": "seed must be a whole number; got 1000.0. Write 1000.",
    "train steps=1000000000000000": "a run has at most 1,000,000,000 steps, at a millisecond a ste",
    "train steps=null epochs=1e12": "got 11,000,000,000,000. Give fewer steps or epochs.",
    "train num_threads=1000000000": "num_threads must be at most 1024; got 1,000,000,000, and this",
    "train optimizer.lr=1e39": "optimizer.lr must be at most 3e+38, for float32; got 1e+39.",
    "train optimizer.lr=1e400": "optimizer.lr must be a finite number; got inf.",
    "train model.widths=[1000000000000]": "this run needs at least 1.63 PB of memory (304 TB of we",
    "train model.widths=[1000000000000] norm=group": "1.02 PB of activations of 128 samples)",
    "train model.widths=[1000000000000,1000000000000]": "cannot be built for samples of shape (1,",
    "train model=vgg11 model.width=1e9": "Storage size calculation overflowed",
    "train model=vgg11 model.width=1e4": "Make the network smaller, or batch_size or data.resize.",
    "train model=vgg11 model.width=1e-9": "model.width must leave the widest layers, of 512 channe",
    "train model=vgg11 model.width=0": "model.width must be greater than 0; got 0.0.",
    "train model=vgg11 model.width=inf": "model.width must be a finite number; got inf.",
    "train data.resize=1000000": "the 1,500 training samples of shape (1, 1000000, 1000000) take 6",
    "train data.resize=100000000000000000000": "Lower data.limit, or the size of a sample.",
    "train data=gaussian model=deep_linear data.num_samples=1000000000000000": "take 40 PB, and",
    "train data=gaussian model=deep_linear data.num_features=1000000000": "take 4 TB, and",
    "train data=gaussian model=deep_linear model.depth=1000000000": "model.depth must be 1 to 1000",
    "train probe=landscape probe.landscape.num_points=1000000000000": "must be 2 to 10000; got",
    "train probe=ics probe.ics.per_decade=1000000000000": "must be 1 to 1000; got 1000000000000.",
    "train probe=activations probe.activations.num_bins=1000000000000": "must be 2 to 100000; got",
    "train batch_size=99999999999999999999999": "batch_size must not exceed the training set; got",
    "train checkpoint.keep=[1000000000000000]": "checkpoint.keep must name steps of the run, at mo",
    "train norm=batch_ghost norm.ghost_size=1000000000000": "Choose a divisor of batch_size.",
    "train schedule=multistep schedule.milestones=[]": "schedule.milestones must name at least one",
    "train schedule=multistep schedule.milestones=0.5": "schedule.milestones must be a list, each",
    "train schedule=multistep schedule.milestones=[nan]": "schedule.milestones are shares",
    "train schedule=multistep schedule.milestones=[-1]": "each at least 0 and less than 1; got -1.",
    "train schedule=cosine schedule.final_factor=1": "must be at least 0 and less than 1; got 1.0.",
    # Places.
    "train results_dir=": "results_dir must name a folder; got ''. Give results_dir=results, or",
    "train \"results_dir=' '\"": "results_dir must name a folder; got ' '.",
    "train results_dir=/etc/passwd": "results_dir=/etc/passwd must be a folder that can be written",
    "train results_dir=/etc/passwd/x": "/etc/passwd is not a folder. Give another one.",
    "train start_from=x": "start_from must be RUN@STEP, STEP a number of updates or end; got 'x'.",
    "train start_from=x@": "start_from must be RUN@STEP",
    "train start_from=@3": "start_from must be RUN@STEP",
    "train start_from=x@1": "start_from=x@1: results/runs has no run of that name, nor any other.",
    "train start_from=../x@end": "results/runs has no run of that name, nor any other.",
    "runs --results-dir /etc/passwd ls": "--results-dir must be a folder that holds runs/; '/etc/p",
    "runs ls --results-dir /etc/passwd": "'/etc/passwd' is a file. Leave it out for results/",
    "runs --results-dir /nope ls": "'/nope' is not there. Leave it out for results/ of the folder",
    "runs --results-dir '' ls": "--results-dir must be a folder that holds runs/; '' is not there.",
    "runs plot --results-dir /nope": "'/nope' is not there.",
    "runs push --results-dir /etc/passwd": "'/etc/passwd' is a file.",
    "runs show x --results-dir /nope": "'/nope' is not there.",
    "runs rerun ../x": "no run named '../x' in results/runs.",
    "runs measure .. probe=ics": "no run named '..' in results/runs.",
    "runs diff a b": "no run named 'a' in results/runs.",
    "runs why x": "no run named 'x' in results/runs.",
    "runs plot": "there are no runs in results/runs.",
    "runs plot --output .": "output must be a file that ends in .png, .svg, .pdf; got '.'.",
    "runs plot --output plot.jpg": "output must be a file that ends in .png",
    "runs plot --size 6": "size must be WIDTHxHEIGHT in inches, such as 6x4 or 5.5x3.2; got '6'.",
    "runs plot --kind pie": "kind must be one of curves, heatmap, comparison; got 'pie'",
    "runs ls norm": "a filter is KEY=VALUE or KEY=VALUE,VALUE, such as norm=batch,none; got 'norm'",
    "runs ls norm=": "a filter is KEY=VALUE or KEY=VALUE,VALUE",
    "zoo --output .": "could not write .: Is a directory.",
    "zoo --output /etc/passwd/zoo.md": "could not write /etc/passwd/zoo.md: ",
    "dashboard nope --dry": "nope: there is no such experiment, and no such sweep.",
    "dashboard --scale big --dry": "scale=big: there is no such scale. Scales: smoke,",
    "dashboard demo --scale paper --dry": "demo has no scale paper. Scales: smoke.",
    "dashboard --results-dir /etc/passwd --dry": "--results-dir must be a folder of experiments'",
    # Data.
    "data digits": "data=digits is made by normlab itself, and there is nothing to get: train on i",
    "data gaussian": "data=gaussian is made by normlab itself",
    "data cifar": "data=cifar: there is no such data. Did you mean 'cifar10'? Choices: mnist,",
    "data ''": "data=: there is no such data.",
    "data image_folder": "data=image_folder needs a folder that holds train/CLASS/ and test/CLASS/",
    "data image_folder --path /nope": "/nope/train is not a folder.",
    "data image_folder --path /etc/passwd": "/etc/passwd/train is not a folder.",
    # Experiments.
    "experiment run dmeo": "dmeo: there is no such experiment. Did you mean 'demo'? Experiments: b",
    "experiment run ../demo": "../demo: there is no such experiment.",
    "experiment run demo --scale big": "demo has no scale big.",
    "experiment run demo --scale ../x": "demo has no scale ../x.",
    "experiment run demo --seeds 0,x": "seeds must be whole numbers with commas between, such as 0",
    "experiment run demo --seeds 1.5": "seeds must be whole numbers",
    "experiment run demo --seeds=-1": "seed must be 0 or greater; got -1.",
    "experiment run demo --seeds 9223372036854775808": "seed must be at most 9223372036854775807",
    "experiment run demo --cell zzz": "no cell of demo matches 'zzz'. Arms: ",
    "experiment run demo --launcher pol": "launcher=pol: there is no such launcher. Did you mean '",
    "experiment run demo --launcher slurm": "launcher=slurm is not built yet.",
    "experiment run demo --tracker of": "tracker=of: there is no such tracker.",
    "experiment run demo -- norm=bacth": "norm=bacth: there is no such norm. Did you mean 'batch'?",
    "experiment run demo -- norm=none,batch": "lists several values, which an experiment has as ar",
    "experiment run demo -- seed=3": "seed=3: an experiment has seeds of its own; give --seeds",
    "experiment run demo -- results_dir=x": "an experiment's results lie in results/ of the folder",
    "experiment run demo -- start_from=x@1": "what an arm starts from stands in its experiment.yam",
    "experiment run demo -- steps": "'steps' is not of the form key=value.",
    "experiment plan demo -- model.widths=[1": "is not of the form key=value.",
    "experiment plan nope": "nope: there is no such experiment.",
    "experiment draw demo --cell zzz": "no cell of demo matches 'zzz'.",
    "experiment verify nope": "nope: there is no such experiment.",
    "experiment verify": "holds no figures of these experiments.",
    "experiment redraw demo": "holds no figures of these experiments.",
    "experiment judge demo": "holds no figures of these experiments.",
    "experiment claims": "holds no verdicts.",
    "experiment report": "holds no verdicts and runs.",
    "experiment wandb-sweep nope": "nope: there is no such experiment.",
    "experiment wandb-sweep demo --cell zzz": "no cell of demo matches 'zzz'.",
    "experiment wandb-sweep demo --output /etc/passwd": "could not write /etc/passwd/demo-smoke-1.",
}

OF_RUNS = {
    "runs show nope": "no run named 'nope' in ",
    "runs show mlp": "2 runs have 'mlp' in their name: ",
    "runs diff mlp-none nope": "no run named 'nope' in ",
    "runs ls nrom=batch": "no run has the key 'nrom'. Nearest: norm",
    "runs plot nrom=batch": "no run has the key 'nrom'.",
    "runs plot --y test/acuracy": "test/acuracy",
    "runs plot --y ics/l2": "no run that passes has recorded ics/l2.",
    "runs plot --x nrom": "nrom",
    "runs plot --hue nrom": "no run has the key 'nrom'.",
    "runs plot norm=rms": "no run passes norm=rms.",
    "runs plot --palette rainbow": "rainbow",
    "runs plot --output {here}": "output must be a file that ends in .png",
    "runs plot --output {here}/folder.png": "is a folder. Give ",
    "runs plot --output /etc/passwd/a.png": "could not write /etc/passwd/a.png: ",
    "runs measure mlp-none norm=batch": "measure takes the run as it was trained, and probes from",
    "runs measure mlp-none 'probe=[]'": "choose what to measure, such as 'probe=[landscape]'.",
    "runs measure mlp-none probe=icss": "probe=icss: there is no such probe. Did you mean 'ics'?",
    "runs measure mlp-none probe=ics probe.ics.every=3": "a checkpoint is measured at its own step",
    "runs measure mlp-none probe=weights --name ..": "--name must be the name of a file: at most 2",
    "runs measure mlp-none probe=weights --name ./.": "no slash among them and no dot in front; go",
    "runs measure mlp-none probe=weights --name ''": "--name must be the name of a file",
    "runs measure mlp-none probe=weights --name a/b": "--name must be the name of a file",
    "runs measure mlp-batch probe=weights": "has no checkpoint to measure",
    "train results_dir=results start_from=mlp-@end": "the names of 2 runs begin so: mlp-batch-",
    "train results_dir=results start_from=mlp-nnoe@end": "has no run of that name. Runs: mlp-none-",
    "train results_dir=results start_from=mlp-none@99": "has not kept its network before update 99",
    "train results_dir=results seed=1 start_from=mlp-none@end": "has seed=0, this one seed=1.",
    "train results_dir=results/runs/{file}": "is not a folder. Give another one.",
}


def refused(command: str, fragment: str, folder: Path) -> None:
    before = everything_in(folder)
    ended = normlab(*shlex.split(command), cwd=folder)
    assert re.match(r"((normlab|python).*: )?error: ", ended.err)
    assert fragment in ended.err
    assert "Traceback" not in ended.err
    assert (ended.code, ended.out) == (2, "")
    assert everything_in(folder) == before


@pytest.mark.parametrize("command", COMMANDS)
def test_a_bad_command_is_answered_and_nothing_is_left(command: str, tmp_path: Path) -> None:
    refused(command, COMMANDS[command], tmp_path)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two finished runs, one of them with its checkpoint."""
    folder = tmp_path_factory.mktemp("project")
    for words in (("norm=none", "checkpoint.keep_final=true"), ("norm=batch",)):
        run = planned("steps=2", *words, results_dir=folder / "results")
        assert carried_out(run)[0].end == "finished"
    (folder / "folder.png").mkdir()
    return folder


@pytest.mark.parametrize("command", OF_RUNS)
def test_a_bad_command_on_runs_is_answered_and_nothing_is_left(command: str, project: Path) -> None:
    file = next(project.glob("results/runs/*/config.json")).relative_to(project / "results/runs")
    refused(command.format(here=project, file=file), OF_RUNS[command], project)

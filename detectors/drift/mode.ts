import { defineDrift } from './drift.ts'
import { modeChangeExamples } from './mode.examples.ts'

export default defineDrift({
  id: 'GPU-005',
  title: 'A workload changed how a GPU is shared: MIG, compute mode, virtual functions',
  severity: 'medium',
  attack: ['T1496', 'T1562.001'],
  atlas: [],
  blindSpots: [
    'A change by who is an administrator by the policy, or on the node itself where no '
      + 'administrators are named.',
    'MIG instances of a size that another workload was to get.',
  ],
  runbook: 'Ask the owner of the workload why it may do so: partitions and modes of a GPU are the '
    + 'scheduler\'s. Take the right from it (capabilities, device nodes of MIG), then restore '
    + 'the mode, since jobs that come next get the GPU as it is.',
  of: 'mode',
  what: 'sharing of GPUs',
  judge({ checked }, { severity, standing, confined }) {
    const isByOther = confined || standing === 'stranger'
    return checked?.verdict === 'differs' || isByOther ? severity : null
  },
  nextSteps: [
    'Find the workload\'s owner, and take CAP_SYS_ADMIN and the MIG device nodes from it.',
    'Restore the mode before the next job gets the GPU.',
  ],
  examples: [...modeChangeExamples.fires, ...modeChangeExamples.quiet],
})

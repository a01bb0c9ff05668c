/**
 * Figures of the workloads of MLPerf Storage, by MLCommons, from their configurations for DLIO.
 * Where: https://github.com/mlcommons/storage, configs/dlio and dlio_benchmark/configs/workload.
 * What is ours is how many steps an epoch has: few, so that a day is small.
 */

/** A training that reads samples. */
export interface Training {
  name: string
  /** Threads of one process read (TensorFlow), or worker processes of each epoch (PyTorch). */
  readers: 'threads' | 'workers'
  samplesPerFile: number
  sampleBytes: number
  batch: number
  /** Readers of each accelerator. */
  readThreads: number
  /** Time of a step on the accelerator, seconds. */
  stepSeconds: number
  epochs: number
  stepsPerEpoch: number
  /** Files are read from their beginning to their end; else records out of them. */
  wholeFiles: boolean
  /** Bytes of the model that is kept, 0 for none; after so many epochs each. */
  checkpointBytes: number
  checkpointEpochs: number
  /** How the files are read, as in store_read; `network`: from an object store. */
  mechanism: 'read' | 'direct' | 'mmap' | 'network'
}

/** training/unet3d_h100.yaml: 168 files of one sample each, 5 epochs, a checkpoint every second. */
const unet3d: Training = {
  name: 'unet3d', readers: 'workers', samplesPerFile: 1, sampleBytes: 146_600_628, batch: 7, readThreads: 4,
  stepSeconds: 0.323, epochs: 5, stepsPerEpoch: 120, wholeFiles: true, checkpointBytes: 499_153_191,
  checkpointEpochs: 2, mechanism: 'read',
}

/** workload/resnet50_h100.yaml: 1,024 record files of 1,251 samples. */
const resnet50: Training = {
  name: 'resnet50', readers: 'threads', samplesPerFile: 1251, sampleBytes: 114_660, batch: 400, readThreads: 8,
  stepSeconds: 0.224, epochs: 5, stepsPerEpoch: 150, wholeFiles: true, checkpointBytes: 0, checkpointEpochs: 1,
  mechanism: 'read',
}

/** workload/cosmoflow_h100.yaml: 524,288 files of one sample; shuffled. */
const cosmoflow: Training = {
  name: 'cosmoflow', readers: 'threads', samplesPerFile: 1, sampleBytes: 2_828_486, batch: 1, readThreads: 4,
  stepSeconds: 0.0035, epochs: 5, stepsPerEpoch: 9000, wholeFiles: true, checkpointBytes: 0, checkpointEpochs: 1,
  mechanism: 'direct',
}

/** workload/bert_v100.yaml: 500 files of 313,532 samples; 1,000 steps, checkpoints of 4 GB every 250. */
const bert: Training = {
  name: 'bert', readers: 'threads', samplesPerFile: 313_532, sampleBytes: 2500, batch: 48, readThreads: 1,
  stepSeconds: 0.968, epochs: 4, stepsPerEpoch: 50, wholeFiles: false, checkpointBytes: 4_034_713_312,
  checkpointEpochs: 1, mechanism: 'read',
}

/** workload/dlrm.yaml: one file of 1,024 samples, read out of order. */
const dlrm: Training = {
  name: 'dlrm', readers: 'workers', samplesPerFile: 1024, sampleBytes: 671_088_640, batch: 1, readThreads: 1,
  stepSeconds: 0.064296, epochs: 1, stepsPerEpoch: 800, wholeFiles: false, checkpointBytes: 0, checkpointEpochs: 1,
  mechanism: 'mmap',
}

/** As cosmoflow, out of an object store: objects take the place of files. */
const overObjects: Training = { ...cosmoflow, name: 'cosmoflow-objects', mechanism: 'network' }

export const trainings: readonly Training[] = [unet3d, resnet50, cosmoflow, bert, dlrm, overObjects]

/** Checkpoints of a large language model: written ten times, and read again after a failure. */
export interface Checkpointing {
  name: string
  /** All of it, on all processes. */
  bytes: number
  processes: number
  writes: number
  reads: number
  secondsBetween: number
}

/**
 * checkpointing/llama_70b.yaml, and Submission_guidelines.md 2.2: Llama 3 70B has 912 GB on 64
 * processes; ten are written, ten read. `subset` mode: one node with eight of the processes.
 */
export const llama70b: Checkpointing = {
  name: 'llama-70b', bytes: 912e9, processes: 64, writes: 10, reads: 10, secondsBetween: 60,
}

/** Of those processes, on one node; and ranks of a training. */
export const RANKS_PER_NODE = 8

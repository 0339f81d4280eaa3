/**
 * The score of every cell, drawn on the GPU.
 *
 * The levels, of the whole atlas or of the part in view, lie in a texture of one byte a cell. A mesh of 17 × 17 points
 * places it in Web Mercator, so the server reprojects nothing and cells stay as they are. What a level looks like, with
 * stretch, threshold and opacity, is a second texture of 256 colours: changing it costs a frame, and no request.
 */

import type { CustomLayerInterface, CustomRenderMethodInput, Map as MapLibreMap } from "maplibre-gl";
import type { Atlas, Scores } from "./api";

export interface Look {
  /** Levels of the first and last colour, 1 to 255. */
  low: number;
  high: number;
  /** Least distance from `centre` of the levels that are drawn. */
  threshold: number;
  /** 0; of a difference, the level of no change. */
  centre: number;
  /** 0 to 1. */
  opacity: number;
}

const VERTEX = `#version 300 es
uniform mat4 matrix;
uniform vec4 part;
in vec2 position;
in vec2 cell;
out vec2 texel;
void main() {
  texel = cell * part.xy + part.zw;
  gl_Position = matrix * vec4(position, 0.0, 1.0);
}`;

const FRAGMENT = `#version 300 es
precision highp float;
uniform mediump usampler2D levels;
uniform sampler2D colours;
uniform vec2 visible;
in vec2 texel;
out vec4 colour;
void main() {
  if (gl_FragCoord.x < visible.x || gl_FragCoord.x >= visible.y) discard;
  ivec2 at = ivec2(floor(texel));
  if (any(lessThan(at, ivec2(0))) || any(greaterThanEqual(at, textureSize(levels, 0)))) discard;
  colour = texelFetch(colours, ivec2(int(texelFetch(levels, at, 0).r), 0), 0);
}`;

const UNIFORMS = ["matrix", "part", "levels", "colours", "visible"] as const;

export class ScoreLayer implements CustomLayerInterface {
  readonly type = "custom" as const;
  readonly renderingMode = "2d" as const;
  /** Part of the canvas that is drawn, as shares of its width. */
  visible: [number, number] = [0, 1];
  /** Called after a frame that shows the newest scores. */
  onPainted: () => void = () => undefined;

  private map?: MapLibreMap;
  private gl?: WebGL2RenderingContext;
  private program?: WebGLProgram;
  private uniforms?: Record<(typeof UNIFORMS)[number], WebGLUniformLocation | null>;
  private vertices?: WebGLVertexArrayObject;
  private levelTexture?: WebGLTexture;
  private colourTexture?: WebGLTexture;
  private count = 0;
  private origin: [number, number] = [0, 0];
  private atlas?: Atlas;
  private scores?: Scores;
  private colours?: Uint8Array;
  private stale = { mesh: false, levels: false, colours: false };

  constructor(readonly id: string) {}

  setAtlas(atlas: Atlas): void {
    this.atlas = atlas;
    this.scores = undefined;
    this.stale.mesh = true;
    this.repaint();
  }

  setScores(scores: Scores | undefined): void {
    this.scores = scores;
    this.stale.levels = scores !== undefined;
    this.repaint();
  }

  /** Draw levels with the colours of a table of 256, RGBA. */
  setLook(look: Look, table: Uint8Array): void {
    this.colours = levelColours(look, table);
    this.stale.colours = true;
    this.repaint();
  }

  repaint(): void {
    this.map?.triggerRepaint();
  }

  onAdd(map: MapLibreMap, context: WebGLRenderingContext | WebGL2RenderingContext): void {
    const gl = context as WebGL2RenderingContext;
    this.map = map;
    this.gl = gl;
    const program = (this.program = linkProgram(gl));
    const locations = UNIFORMS.map((name) => [name, gl.getUniformLocation(program, name)]);
    this.uniforms = Object.fromEntries(locations) as typeof this.uniforms;
    this.vertices = gl.createVertexArray();
    this.levelTexture = createTexture(gl, gl.NEAREST);
    this.colourTexture = createTexture(gl, gl.NEAREST);
    this.stale = { mesh: this.atlas !== undefined, levels: this.scores !== undefined, colours: this.colours !== undefined };
  }

  render(_: WebGLRenderingContext | WebGL2RenderingContext, input: CustomRenderMethodInput): void {
    const gl = this.gl;
    if (!gl || !this.program || !this.uniforms || !this.scores || !this.atlas || !this.colours) return;
    const isNew = this.stale.levels;
    if (this.scores.levels.length === 0) {
      this.stale.levels = false;
      if (isNew) this.onPainted();
      return;
    }
    this.upload(gl);
    gl.useProgram(this.program);
    gl.bindVertexArray(this.vertices!);
    const { uniforms } = this;
    gl.uniformMatrix4fv(uniforms.matrix, false, shift(input.defaultProjectionData.mainMatrix, this.origin));
    gl.uniform4f(uniforms.part, ...partOf(this.atlas, this.scores));
    gl.uniform2f(uniforms.visible, this.visible[0] * gl.drawingBufferWidth, this.visible[1] * gl.drawingBufferWidth);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, this.levelTexture!);
    gl.uniform1i(uniforms.levels, 0);
    gl.activeTexture(gl.TEXTURE1);
    gl.bindTexture(gl.TEXTURE_2D, this.colourTexture!);
    gl.uniform1i(uniforms.colours, 1);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.drawElements(gl.TRIANGLES, this.count, gl.UNSIGNED_SHORT, 0);
    gl.bindVertexArray(null);
    if (isNew) this.onPainted();
  }

  /** Send to the GPU what has changed since the last frame. */
  private upload(gl: WebGL2RenderingContext): void {
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.pixelStorei(gl.UNPACK_FLIP_Y_WEBGL, false);
    gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
    if (this.stale.mesh) this.uploadMesh(gl);
    if (this.stale.levels) {
      const [height, width] = this.scores!.shape;
      gl.bindTexture(gl.TEXTURE_2D, this.levelTexture!);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.R8UI, width, height, 0, gl.RED_INTEGER, gl.UNSIGNED_BYTE, this.scores!.levels);
    }
    if (this.stale.colours) {
      gl.bindTexture(gl.TEXTURE_2D, this.colourTexture!);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 256, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, this.colours!);
    }
    this.stale = { mesh: false, levels: false, colours: false };
  }

  /** Points as differences from the first one: float32 alone would move cells by metres. */
  private uploadMesh(gl: WebGL2RenderingContext): void {
    const { steps, xy } = this.atlas!.mesh;
    this.origin = [xy[0]![0], xy[0]![1]];
    const points = new Float32Array(xy.length * 4);
    xy.forEach(([x, y], index) => {
      const row = Math.floor(index / (steps + 1));
      const col = index % (steps + 1);
      points.set([x - this.origin[0], y - this.origin[1], col / steps, row / steps], 4 * index);
    });
    const corners: number[] = [];
    for (let row = 0; row < steps; row++) {
      for (let col = 0; col < steps; col++) {
        const at = row * (steps + 1) + col;
        corners.push(at, at + 1, at + steps + 1, at + 1, at + steps + 2, at + steps + 1);
      }
    }
    this.count = corners.length;
    gl.bindVertexArray(this.vertices!);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, points, gl.STATIC_DRAW);
    for (const [name, offset] of [["position", 0], ["cell", 8]] as const) {
      const place = gl.getAttribLocation(this.program!, name);
      gl.enableVertexAttribArray(place);
      gl.vertexAttribPointer(place, 2, gl.FLOAT, false, 16, offset);
    }
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, new Uint16Array(corners), gl.STATIC_DRAW);
    gl.bindVertexArray(null);
  }
}

/** The colours of the 256 levels, RGBA with the opacity multiplied in; a level that is not drawn is transparent. */
export function levelColours(look: Look, table: Uint8Array): Uint8Array {
  const colours = new Uint8Array(256 * 4);
  for (let level = 1; level < 256; level++) {
    if (Math.abs(level - look.centre) < look.threshold) continue;
    const share = Math.min(Math.max((level - look.low) / Math.max(look.high - look.low, 1), 0), 1);
    const weight = look.centre > 0 ? Math.abs(2 * share - 1) : share;
    const opacity = look.opacity * (0.6 + 0.4 * Math.min(2 * weight, 1)); // the imagery shows where there is little to say
    const from = 4 * Math.round(255 * share);
    for (let channel = 0; channel < 3; channel++) colours[4 * level + channel] = Math.round(table[from + channel]! * opacity);
    colours[4 * level + 3] = Math.round(255 * opacity);
  }
  return colours;
}

/** Scale and shift from shares of the atlas's sides to cells of the part that the scores are of. */
export function partOf(atlas: Atlas, scores: Scores): [number, number, number, number] {
  const [rows, cols] = atlas.grid.shape;
  const [row, col] = scores.offset ?? [0, 0];
  return [cols, rows, -col, -row];
}

function createTexture(gl: WebGL2RenderingContext, filter: number): WebGLTexture {
  const texture = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, texture);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, filter);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, filter);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
  return texture;
}

function linkProgram(gl: WebGL2RenderingContext): WebGLProgram {
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]] as const) {
    const shader = gl.createShader(kind)!;
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader) ?? "shader");
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) ?? "program");
  return program;
}

/** The matrix for points that were moved by minus `origin`, computed in float64 before it becomes float32. */
function shift(matrix: ArrayLike<number>, origin: [number, number]): Float32Array {
  const moved = Float64Array.from(matrix);
  for (let row = 0; row < 4; row++) {
    moved[12 + row] = matrix[12 + row]! + matrix[row]! * origin[0] + matrix[4 + row]! * origin[1];
  }
  return Float32Array.from(moved);
}
